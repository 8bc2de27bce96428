"""The small bundled model, which the server runs in a child process."""
