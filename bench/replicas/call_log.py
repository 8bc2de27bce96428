"""`CallLog`: the calls whose ends a replica has logged, read as its log grows."""

from pathlib import Path

from bench.restart.servers import EndedCall, Server, parse_calls


class CallLog:
    """Reads the logs of all processes of a replica. What was read once is kept."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._read_bytes: dict[Path, int] = {}
        self._calls: list[tuple[str, EndedCall]] = []

    def read(self) -> list[tuple[str, EndedCall]]:
        """Returns all calls so far, each with its request id, in the order in which they ended."""
        for log in self._server.logs:
            with log.open("rb") as file:
                file.seek(self._read_bytes.get(log, 0))
                grown = file.read()
            whole = grown[: grown.rfind(b"\n") + 1]
            self._read_bytes[log] = self._read_bytes.get(log, 0) + len(whole)
            self._calls += parse_calls(whole.decode())
        return self._calls

    def has_served(self, load_name: str, since: float) -> bool:
        """Whether a call of this load arrived after this time, and was served to its end."""
        return any(
            load_name in request_id and call.code == "OK" and call.arrival_time >= since
            for request_id, call in self.read()
        )
