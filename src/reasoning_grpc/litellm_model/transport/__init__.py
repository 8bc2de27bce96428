"""The HTTP of our model calls: pooled connections, one exchange a call, the events of a stream, and litellm's view."""
