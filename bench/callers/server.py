"""`Server`: a server process with TLS, its configuration and its certificate, both of which are replaced under load."""

import asyncio
import json
import signal
import sys
import time
from pathlib import Path
from typing import Final

import grpc
import trustme

from bench.process import Process
from bench.services import find_free_port
from reasoning_grpc.config import hash_token

FOLDER: Final = Path(__file__).parents[2] / "build" / "bench" / "callers"
LIMITS: Final = {"alice": 600, "bob": 1800}
"""The requests a minute of the two callers with limits."""


class Server:
    """A server process, its configuration and its TLS files."""

    def __init__(self, mock_port: int) -> None:
        FOLDER.mkdir(parents=True, exist_ok=True)
        self._mock_port = mock_port
        self.port = find_free_port()
        self._authorities = [trustme.CA(), trustme.CA()]
        roots = b"".join(authority.cert_pem.bytes() for authority in self._authorities)
        self.credentials = grpc.ssl_channel_credentials(roots)
        self.log = FOLDER / "server.log"
        self.write_certificate(0)
        self.write_config({"carol": ["carol"]})
        serve = ("-m", "reasoning_grpc.cli", "serve", "--config", str(FOLDER / "reasoning.toml"))
        self.process = Process([sys.executable, *serve], self.log, environment={"BENCH_KEY": "key"})

    def write_certificate(self, issuer: int) -> None:
        """Puts a certificate of one of the two authorities in the place of the one that the server has."""
        issued = self._authorities[issuer].issue_cert("127.0.0.1")
        for name, content in (
            ("server.key", issued.private_key_pem.bytes()),
            ("server.pem", b"".join(blob.bytes() for blob in issued.cert_chain_pems)),
        ):
            draft = FOLDER / f"{name}.new"
            draft.write_bytes(content)
            draft.replace(FOLDER / name)

    def write_config(self, tokens: dict[str, list[str]], requests_per_minute: int = 10**6) -> None:
        """Writes the configuration, with the tokens and the limit of callers beside the two that have limits."""
        lines = [
            f'listen = "127.0.0.1:{self.port}"',
            'default_model = "mock-1"',
            'embedded = "off"',
            'log_format = "json"',
            f'tls_certificate = "{FOLDER / "server.pem"}"',
            f'tls_key = "{FOLDER / "server.key"}"',
            '[models."mock-1"]',
            'litellm_model = "openai/mock-1"',
            f'api_base = "http://127.0.0.1:{self._mock_port}/v1"',
            'api_key_env = "BENCH_KEY"',
        ]
        limits = {**LIMITS, **dict.fromkeys(tokens, requests_per_minute)}
        for caller, limit in limits.items():
            hashes = [hash_token(token) for token in tokens.get(caller, [caller])]
            lines += [f"[callers.{caller}]", f"token_hashes = {json.dumps(hashes)}", f"requests_per_minute = {limit}"]
        (FOLDER / "reasoning.toml").write_text("\n".join(lines) + "\n")

    def count_lines(self, message: str) -> int:
        """Returns how many lines of the log have this message."""
        return self.log.read_text().count(f'"message":"{message}"')

    async def wait_for_line(self, message: str, number: int) -> None:
        """Waits until the log has this many lines with a message. Raises RuntimeError when the server ends."""
        while self.count_lines(message) < number:
            if not self.process.is_running:
                raise RuntimeError(f"the server has ended; see {self.log}")
            await asyncio.sleep(0.02)

    async def reload(self) -> float:
        """Lets the server read its configuration anew; returns the seconds that it took."""
        before, started = self.count_lines("reloaded"), time.monotonic()
        self.process.send_signal(signal.SIGHUP)
        await self.wait_for_line("reloaded", before + 1)
        return time.monotonic() - started
