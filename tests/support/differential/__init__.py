"""The differential test of what leaves: requests, the models that they go to, and what may differ."""
