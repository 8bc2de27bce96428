"""What litellm knows of models without a call: limits, capabilities and prices."""
