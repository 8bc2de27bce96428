"""`find_port`: a port for a process that must be told where to listen, and that listens much later."""

import secrets
import socket
from typing import Final

_PORTS: Final = range(20_000, 32_000)
"""Ports that the system gives to no socket by itself: Linux begins at 32768. A port from there that was free a moment
ago may be that of another test's connection when the process listens."""
_ATTEMPTS: Final = 100


def find_port() -> int:
    """Returns a port of 127.0.0.1 on which nothing listens, and which nobody is given by chance."""
    for _ in range(_ATTEMPTS):
        port = secrets.choice(_PORTS)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
    raise AssertionError(f"none of {_ATTEMPTS} ports is free")
