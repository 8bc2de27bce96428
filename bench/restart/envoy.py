"""Envoy with the configuration of `deploy/envoy`, at other addresses."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

_CONFIG: Final = Path(__file__).parents[2] / "deploy" / "envoy" / "envoy.yaml"
_ADDRESS: Final = re.compile(r"address: [\d.]+, port_value: (\d+)")
_LOOPBACK: Final = "127.0.0.1"
_ADMIN, _LISTENER, _FIRST_SERVER = 9901, 50050, 50051


def write_config(
    file: Path, *, listener: int, admin: int, servers: Sequence[int], hosts: Sequence[str] = (_LOOPBACK,) * 3
) -> None:
    """Writes the configuration with these ports, and hosts of the servers, in place of its own.

    Raises ValueError unless the configuration has an address for each of them, and no others.
    """
    addresses = {_ADMIN: (_LOOPBACK, admin), _LISTENER: (_LOOPBACK, listener)}
    addresses |= dict(enumerate(zip(hosts, servers, strict=False), _FIRST_SERVER))
    text = _CONFIG.read_text()
    if sorted(map(int, _ADDRESS.findall(text))) != sorted(addresses):
        raise ValueError(f"{_CONFIG} has not the ports {sorted(addresses)}")

    def replace(match: re.Match[str]) -> str:
        host, port = addresses[int(match[1])]
        return f"address: {host}, port_value: {port}"

    file.write_text(_ADDRESS.sub(replace, text))


def list_arguments(file: Path) -> list[str]:
    """Returns the arguments with which Envoy runs on this configuration, beside other Envoys."""
    return ["-c", str(file), "--use-dynamic-base-id", "--concurrency", "1", "--log-level", "warning"]
