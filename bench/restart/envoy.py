"""Envoy with the configuration of `deploy/envoy`, at other addresses."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

_CONFIG: Final = Path(__file__).parents[2] / "deploy" / "envoy" / "envoy.yaml"
_PORT: Final = re.compile(r"port_value: (\d+)")
_ADMIN, _LISTENER, _FIRST_SERVER = 9901, 50050, 50051


def write_config(file: Path, *, listener: int, admin: int, servers: Sequence[int]) -> None:
    """Writes the configuration with these ports in place of its own. Raises ValueError unless all of them are there."""
    ports = {_ADMIN: admin, _LISTENER: listener, **dict(enumerate(servers, _FIRST_SERVER))}
    text = _CONFIG.read_text()
    if sorted(map(int, _PORT.findall(text))) != sorted(ports):
        raise ValueError(f"{_CONFIG} has not the ports {sorted(ports)}")
    file.write_text(_PORT.sub(lambda match: f"port_value: {ports[int(match[1])]}", text))


def list_arguments(file: Path) -> list[str]:
    """Returns the arguments with which Envoy runs on this configuration, beside other Envoys."""
    return ["-c", str(file), "--use-dynamic-base-id", "--concurrency", "1", "--log-level", "warning"]
