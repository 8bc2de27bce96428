"""Measures the quality of a running server; needs only the stubs and the client, not the server's packages."""
