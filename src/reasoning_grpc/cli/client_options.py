"""`create_client`: creates the client that the flags of a command describe."""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import grpc

from reasoning_grpc.client import ReasoningClient


class FlagError(Exception):
    """The flags do not go together; the message is one line that says why."""


def create_client(parsed: argparse.Namespace, options: Sequence[tuple[str, Any]] = ()) -> ReasoningClient:
    """Creates the client that the flags describe; `options` are further options of the gRPC channel.

    Raises FlagError, and OSError for a file that cannot be read.
    """
    if bool(parsed.tls_certificate) != bool(parsed.tls_key):
        raise FlagError("--tls-certificate and --tls-key go together")
    token_file: Path | None = parsed.token_file
    token = token_file.read_text().strip() if token_file else os.environ.get("REASONING_TOKEN", "")
    credentials = None
    if parsed.tls or parsed.tls_ca or parsed.tls_certificate:
        credentials = grpc.ssl_channel_credentials(
            root_certificates=_read_file(parsed.tls_ca),
            private_key=_read_file(parsed.tls_key),
            certificate_chain=_read_file(parsed.tls_certificate),
        )
    try:
        return ReasoningClient(parsed.target, token=token, credentials=credentials, options=options)
    except ValueError as exc:
        raise FlagError(str(exc)) from exc


def _read_file(file: Path | None) -> bytes | None:
    return None if file is None else file.read_bytes()
