"""`AdminPort`: how a command finds the process of a server by its HTTP port, and what became of the last reload."""

import json
from typing import Any, Final
from urllib.error import HTTPError
from urllib.request import ProxyHandler, build_opener

from reasoning_grpc.server import ProcessIdentity

_TIMEOUT_SECONDS: Final = 10.0


class AdminPortError(Exception):
    """The port does not lead to a server of this machine; the message is one line that says why."""


class AdminPort:
    """The port of the option `admin_listen`."""

    def __init__(self, listen: str) -> None:
        """`listen` is HOST:PORT, or a port of loopback, as the server has it."""
        self._address = f"127.0.0.1:{listen}" if listen.isdecimal() else listen
        # The port is on this machine, whatever proxy the environment names.
        self._opener = build_opener(ProxyHandler({}))

    def find_process(self) -> int:
        """Returns the number of the process that a signal reloads. Raises AdminPortError."""
        described = self._read()["process"]
        identity = ProcessIdentity(described["id"], described["started"])
        if identity.started is None:
            raise AdminPortError(f"{self._address}: this system does not tell processes apart; give --pid-file")
        if identity != ProcessIdentity.read(identity.id):
            raise AdminPortError(f"{self._address}: is the port of a server on another machine or in a container")
        return identity.id

    def read_status(self) -> dict[str, Any] | None:
        """Returns what became of the last reload; None when there was none. Raises AdminPortError."""
        status: dict[str, Any] | None = self._read().get("reload")
        return None if status is None or status["last_time"] is None else status

    def _read(self) -> dict[str, Any]:
        """Reads the page about readiness, which a server has before it is ready as well."""
        try:
            body: dict[str, Any] = json.loads(self._fetch())
        except (OSError, ValueError) as exc:
            raise AdminPortError(f"{self._address}: no admin port of a server answers there") from exc
        if not isinstance(body, dict) or "process" not in body:
            raise AdminPortError(f"{self._address}: is not the admin port of a server")
        return body

    def _fetch(self) -> bytes:
        try:
            with self._opener.open(f"http://{self._address}/readyz", timeout=_TIMEOUT_SECONDS) as answer:
                page: bytes = answer.read()
        except HTTPError as exc:
            page = exc.read()  # a server that is not ready says what it is with the status 503
        return page
