"""The models that requests can name, and their sources: configuration, LiteLLM proxy, embedded model."""
