"""`report_failure`: prints why a command of the client's side failed."""

import argparse
import json
import re
import sys
from collections.abc import Iterator
from typing import Any, Final

import grpc
from google.protobuf.json_format import MessageToDict

from reasoning_grpc.cli.client_options import FlagError
from reasoning_grpc.cli.console import remove_control_characters
from reasoning_grpc.client import CallFailed

_ENDINGS: Final = (
    (
        grpc.StatusCode.UNAVAILABLE,
        r'^(?:\{"message":")?((?:no healthy |upstream |envoy ).*?)(?:"\})?$',
        "a proxy on {target} answers in place of a server: {quoted}; are the servers behind it running and healthy?",
    ),
    (
        grpc.StatusCode.UNAVAILABLE,
        r"http2 header with status: (\d+)",
        "a proxy or web server on {target} answers with HTTP {quoted}; is it set up for gRPC, with servers behind it?",
    ),
    (grpc.StatusCode.UNAVAILABLE, "refused|no such file", "nothing listens on {target}; is the server running?"),
    (grpc.StatusCode.UNAVAILABLE, "dns|domain name|resolution|resolve", "the name in {target} cannot be resolved"),
    (
        grpc.StatusCode.UNAVAILABLE,
        "ssl|tls|handshake|certificate|peer name",
        "the TLS handshake with {target} failed; does the server use TLS, with a certificate for this name?",
    ),
    (grpc.StatusCode.UNAVAILABLE, "timed? ?out|timeout", "{target} does not answer"),
    (grpc.StatusCode.UNAVAILABLE, "", "the connection to {target} broke; has the server ended, or does it use TLS?"),
    (grpc.StatusCode.UNIMPLEMENTED, "", "the server on {target} does not have this method"),
)
"""The sentences for calls without a reason, by code and a pattern of the text; the first row that fits holds.

gRPC itself ended such a call, or a proxy did. The texts of Envoy come first, because they may say that a server refused
its connection. What a pattern captures is quoted.
"""


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
        print(f"reasoning-grpc: {remove_control_characters(_describe(error, parsed))}", file=sys.stderr)
        for line in _list_details(error):
            print(f"  {remove_control_characters(line)}", file=sys.stderr)
    return 1


def _list_details(error: CallFailed) -> Iterator[str]:
    """Yields what the server says beside the message."""
    for line in (f"{violation.field}: {violation.description}" for violation in error.violations):
        if line not in error.message:
            yield line
    if sentence := error.metadata.get("upstream_message"):
        yield f"the provider says: {sentence}"
    if error.retry_after_seconds is not None:
        yield f"try again in {error.retry_after_seconds:g} s"
    if error.request_id:
        yield f"request id {error.request_id}"


def _describe(error: CallFailed, parsed: argparse.Namespace) -> str:
    """Returns why the call failed: in the server's words, or in ours when gRPC itself or a proxy ended the call."""
    if error.reason:
        return f"{error.reason}: {error.message}"
    if error.code is grpc.StatusCode.DEADLINE_EXCEEDED and parsed.timeout_seconds is not None:
        return f"{error.code.name}: there was no answer within {parsed.timeout_seconds:g} s"
    for code, words, sentence in _ENDINGS:
        if error.code is code and (found := re.search(words, error.message, re.IGNORECASE)):
            quoted = found[1] if found.lastindex else ""
            return f"{code.name}: {sentence.format(target=parsed.target, quoted=quoted)}"
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
