"""The port of workers is reserved before any of them listens, and shared among them alone."""

import socket
from typing import Final

import pytest

from reasoning_grpc.server import StartError
from reasoning_grpc.server.workers.reservation import PortReservation

REASON: Final = "cannot be listened on: it is in use, or it is not an address of this machine"


def listen(address: str, *, shares: bool) -> socket.socket:
    """Listens on an address, as a worker that shares the port does, or as any other program does."""
    host, _, port = address.rpartition(":")
    end = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        end.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shares:
            end.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        end.bind((host.strip("[]"), int(port)))
        end.listen()
    except BaseException:
        end.close()
        raise
    return end


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "localhost"])
def test_workers_share_a_reserved_port(host: str) -> None:
    """Sockets that share the port listen on it; any other program, and a second reservation, do not get it."""
    with PortReservation(f"{host}:0") as reservation:
        address = reservation.address.replace("localhost", "127.0.0.1")
        with listen(address, shares=True), listen(address, shares=True):
            with pytest.raises(OSError, match="in use"):
                listen(address, shares=False)
            with pytest.raises(StartError, match=REASON):
                PortReservation(reservation.address)


def test_a_reservation_gets_no_connection() -> None:
    """Until a worker listens, a connection to a reserved port is refused."""
    with PortReservation("127.0.0.1:0") as reservation, socket.socket() as client:
        host, _, port = reservation.address.rpartition(":")

        with pytest.raises(ConnectionRefusedError):
            client.connect((host, int(port)))


def test_a_port_in_use_is_not_reserved() -> None:
    """A port on which another program listens is a start error, also when that program would share it."""
    with listen("127.0.0.1:0", shares=True) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"

        with pytest.raises(StartError, match=REASON):
            PortReservation(address)


@pytest.mark.parametrize("host", ["192.0.2.1", "no-such-host.invalid"])
def test_an_address_of_another_machine_is_not_reserved(host: str) -> None:
    """An address that this machine does not have, and a name that stands for none, are start errors."""
    with pytest.raises(StartError, match=REASON):
        PortReservation(f"{host}:0")


def test_a_closed_reservation_frees_the_port() -> None:
    """After its end others get the port."""
    with PortReservation("127.0.0.1:0") as reservation:
        address = reservation.address

    listen(address, shares=False).close()
