"""The addresses of the replicas: in network namespaces that end with the program, or of loopback."""

import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from bench.services import find_free_port

_UNSHARE: Final = ("unshare", "--net", "--pid", "--fork", "--kill-child", "--mount-proc")
"""Runs a program in a network of its own. When it ends, Linux ends its processes, and with them the namespaces."""
_PROBE: Final = "ip link add probed type bridge && ip link add one type veth peer name other"
_OWN_LOOPBACK: Final = ("unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$0" "$@"')
_PORT: Final = 50051
_BRIDGE: Final = "callers"
_CALLERS_HOST, _CALLERS_MAC = "10.87.0.1", "02:00:0a:57:00:01"


class NoNamespaces(Exception):
    """This process cannot have network namespaces; the message says why."""


@dataclass(frozen=True)
class Place:
    """Where the server of a replica runs."""

    host: str
    port: int
    prefix: Sequence[str]
    """The command that runs another command there."""


class Network(Protocol):
    """Connects replicas with their callers."""

    can_cut: bool
    """Whether a replica can be cut off."""
    holder_prefix: Sequence[str]
    """The command with which the first process of a replica is run, the one that its place exists as long as."""

    def add(self, number: int, holder_pid: int) -> Place:
        """Connects a replica whose first process is this one."""

    def cut(self, number: int) -> None:
        """Drops all packets between a replica and its callers, without a word to either."""

    def heal(self, number: int) -> None:
        """Passes the packets of a replica on again."""


class Namespaces:
    """A bridge in the namespace of this process, and a namespace for each replica, which a pair of veth connects."""

    can_cut = True
    holder_prefix: Sequence[str] = _OWN_LOOPBACK

    def __init__(self) -> None:
        """Makes the bridge. This process must have been started by `build_namespace_command`."""
        _run("ip link set lo up")
        _run(f"ip link add {_BRIDGE} address {_CALLERS_MAC} type bridge")
        _run(f"ip address add {_CALLERS_HOST}/24 dev {_BRIDGE}")
        _run(f"ip link set {_BRIDGE} up")

    def add(self, number: int, holder_pid: int) -> Place:
        """See `Network.add`."""
        host, mac = f"10.87.0.{11 + number}", f"02:00:0a:57:00:{11 + number}"
        prefix = ("nsenter", f"--net=/proc/{holder_pid}/ns/net")
        _run(f"ip link add {_name_port(number)} type veth peer name eth0 address {mac} netns {holder_pid}")
        _run(f"ip link set {_name_port(number)} master {_BRIDGE} up")
        _run(f"ip address add {host}/24 dev eth0", prefix)
        _run("ip link set eth0 up", prefix)
        # Both sides know each other's hardware address, as beyond a router. A replica that is cut off is silent then;
        # otherwise its callers would be told after three seconds that there is no such host.
        _run(f"ip neighbour replace {host} lladdr {mac} dev {_BRIDGE} nud permanent")
        _run(f"ip neighbour replace {_CALLERS_HOST} lladdr {_CALLERS_MAC} dev eth0 nud permanent", prefix)
        return Place(host, _PORT, prefix)

    def cut(self, number: int) -> None:
        """See `Network.cut`. The replica's link stays up, and leads nowhere."""
        _run(f"ip link set {_name_port(number)} nomaster")

    def heal(self, number: int) -> None:
        """See `Network.heal`."""
        _run(f"ip link set {_name_port(number)} master {_BRIDGE}")


class Loopback:
    """Addresses of loopback, which nothing can cut off."""

    can_cut = False
    holder_prefix: Sequence[str] = ()

    def add(self, number: int, holder_pid: int) -> Place:  # noqa: ARG002 - the process needs no namespace
        """See `Network.add`."""
        return Place(f"127.0.1.{1 + number}", find_free_port(), ())

    def cut(self, number: int) -> None:
        """See `Network.cut`."""
        raise NotImplementedError(f"replica {number} is on loopback")

    def heal(self, number: int) -> None:
        """See `Network.heal`."""
        raise NotImplementedError(f"replica {number} is on loopback")


def build_namespace_command() -> list[str]:
    """Returns the command that runs another command in namespaces of its own. Raises NoNamespaces."""
    first, *others = _UNSHARE
    command = [first, *([] if os.geteuid() == 0 else ["--map-root-user"]), *others]
    try:
        subprocess.run([*command, "sh", "-c", _PROBE], check=True, capture_output=True, text=True)
    except OSError as exc:
        raise NoNamespaces(str(exc)) from exc
    except subprocess.CalledProcessError as exc:
        raise NoNamespaces(exc.stderr.strip()) from exc
    return command


def _name_port(number: int) -> str:
    return f"replica-{number}"


def _run(command: str, prefix: Sequence[str] = ()) -> None:
    subprocess.run([*prefix, *command.split()], check=True)
