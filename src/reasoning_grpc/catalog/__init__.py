"""The models callers may name, and where each of them comes from."""
