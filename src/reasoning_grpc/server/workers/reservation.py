"""`PortReservation`: keeps a port for the workers of one server."""

import errno
import socket
from types import TracebackType
from typing import Self

from reasoning_grpc.server.start_error import StartError


class PortReservation:
    """Holds sockets that are bound to an address and never listen, so they get no connections.

    They are bound without SO_REUSEPORT, which fails if any other socket has the port, and get it afterwards, so that
    the workers can bind to it. While they exist, a second server on the port fails as well: it binds in the same way,
    and one without workers never shares a port. Only a program of the same user that sets SO_REUSEPORT by itself could
    listen too; that user could also trace our processes.
    """

    def __init__(self, listen: str) -> None:
        """`listen` is HOST:PORT; with port 0 the system chooses one. Raises StartError."""
        self._listen = listen
        self._sockets: list[socket.socket] = []
        host, _, port = listen.rpartition(":")
        self._port = int(port)
        try:
            self._reserve(host.strip("[]"))
        except BaseException:
            self.close()
            raise
        self.address = f"{host}:{self._port}"
        """The address on which the workers listen, as HOST:PORT."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Gives the port up."""
        for each in self._sockets:
            each.close()

    def _reserve(self, host: str) -> None:
        """Reserves the port at each address of a host that this machine has, as gRPC listens on each of them."""
        try:
            found = socket.getaddrinfo(host, self._port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        except OSError as exc:
            raise self._refuse() from exc
        for family, kind, protocol, _, address in dict.fromkeys(found):
            try:
                self._bind(socket.socket(family, kind, protocol), address)
            except OSError as exc:
                if exc.errno not in {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}:
                    raise self._refuse() from exc
        if not self._sockets:
            raise self._refuse()

    def _bind(self, end: socket.socket, address: tuple[object, ...]) -> None:
        self._sockets.append(end)
        if end.family == socket.AF_INET6:
            # The address of all interfaces stands for those of IPv4 too; any other may have a socket of IPv4 beside it.
            end.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, address[0] != "::")
        try:
            end.bind((address[0], self._port, *address[2:]))
        except OSError:
            self._sockets.pop().close()
            raise
        end.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        self._port = end.getsockname()[1]

    def _refuse(self) -> StartError:
        reason = "it is in use, or it is not an address of this machine"
        return StartError(f"{self._listen} cannot be listened on: {reason}")
