"""Measures of quality against a running server; beside the floors: it knows the stubs and the client alone."""
