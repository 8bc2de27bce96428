"""`StartError`: why a server does not start."""


class StartError(Exception):
    """The server cannot start; the message is one line that says why."""
