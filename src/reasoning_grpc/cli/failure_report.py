"""`report_failure`: prints why a command of the client's side failed."""

import argparse
import json
import re
import sys
from typing import Any, Final

import grpc
from google.protobuf.json_format import MessageToDict

from reasoning_grpc.cli.client_options import FlagError
from reasoning_grpc.client import CallFailed

_ENDINGS: Final = (
    (grpc.StatusCode.UNAVAILABLE, "refused|no such file", "nothing listens on {target}; is the server running?"),
    (grpc.StatusCode.UNAVAILABLE, "dns|domain name|resolution|resolve", "the name in {target} cannot be resolved"),
    (
        grpc.StatusCode.UNAVAILABLE,
        "ssl|tls|handshake|certificate|peer name",
        "the TLS handshake with {target} failed; does the server use TLS, with a certificate for this name?",
    ),
    (grpc.StatusCode.UNAVAILABLE, "timed? ?out|timeout", "{target} does not answer"),
    (grpc.StatusCode.UNAVAILABLE, "", "the connection to {target} broke, or is not gRPC; does the server use TLS?"),
    (grpc.StatusCode.UNIMPLEMENTED, "", "the server on {target} does not have this method"),
)
"""The sentences for calls that gRPC itself ended, by code and a pattern of the text; the first row that fits holds."""


def report_failure(error: CallFailed | FlagError | OSError, parsed: argparse.Namespace) -> int:
    """Prints why a command failed, and returns its exit code. Re-raises a BrokenPipeError of our own output."""
    if isinstance(error, FlagError):
        print(f"reasoning-grpc: {error}", file=sys.stderr)
        return 2
    if isinstance(error, BrokenPipeError):
        raise error  # `main` handles it
    if isinstance(error, OSError):
        print(f"reasoning-grpc: {error.filename}: {error.strerror}", file=sys.stderr)
        return 1
    if parsed.json:
        print(json.dumps({"error": _convert_error(error)}))
    else:
        print(f"reasoning-grpc: {_describe(error, parsed)}", file=sys.stderr)
        for line in (f"{violation.field}: {violation.description}" for violation in error.violations):
            if line not in error.message:
                print(f"  {line}", file=sys.stderr)
        if sentence := error.metadata.get("upstream_message"):
            print(f"  the provider says: {sentence}", file=sys.stderr)
        if error.retry_after_seconds is not None:
            print(f"  try again in {error.retry_after_seconds:g} s", file=sys.stderr)
        if error.request_id:
            print(f"  request id {error.request_id}", file=sys.stderr)
    return 1


def _describe(error: CallFailed, parsed: argparse.Namespace) -> str:
    """Returns why the call failed: in the server's words, or in ours when gRPC itself ended the call."""
    if error.reason:
        return f"{error.reason}: {error.message}"
    if error.code is grpc.StatusCode.DEADLINE_EXCEEDED and parsed.timeout_seconds is not None:
        return f"{error.code.name}: there was no answer within {parsed.timeout_seconds:g} s"
    for code, words, sentence in _ENDINGS:
        if error.code is code and re.search(words, error.message, re.IGNORECASE):
            return f"{code.name}: {sentence.format(target=parsed.target)}"
    return f"{error.code.name}: {error.message}"


def _convert_error(error: CallFailed) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "code": error.code.name,
        "reason": error.reason,
        "message": error.message,
        "metadata": error.metadata,
        "request_id": error.request_id,
        "violations": [{"field": each.field, "description": each.description} for each in error.violations],
        "retry_after_seconds": error.retry_after_seconds,
    }
    if error.interruption is not None:
        facts["interruption"] = MessageToDict(error.interruption, preserving_proto_field_name=True)
    return facts
