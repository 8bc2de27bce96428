"""Limits, capabilities and prices of models, as litellm lists them."""
