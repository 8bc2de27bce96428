"""The way to an upstream: pooled connections, one HTTP exchange, server-sent events."""
