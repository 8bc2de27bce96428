"""A call of a language model: the port, the wrappers around it, and what is built from one call."""
