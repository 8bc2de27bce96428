"""The protocols of providers, as an observer reads them beside litellm."""
