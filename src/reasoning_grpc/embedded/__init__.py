"""The small model that the server runs in a child process of its own."""
