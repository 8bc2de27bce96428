"""The protocols of providers: observers that read an answer beside litellm, and rewrite what litellm would misread."""
