"""`report_failure`: prints why a command of the client's side failed."""

import argparse
import json
import sys
from typing import Any

from google.protobuf.json_format import MessageToDict

from reasoning_grpc.cli.client_options import FlagError
from reasoning_grpc.client import CallFailed


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
        print(f"reasoning-grpc: {error.reason or error.code.name}: {error.message}", file=sys.stderr)
        for violation in error.violations:
            print(f"  {violation.field}: {violation.description}", file=sys.stderr)
        if error.retry_after_seconds is not None:
            print(f"  try again in {error.retry_after_seconds:g} s", file=sys.stderr)
        if error.request_id:
            print(f"  request id {error.request_id}", file=sys.stderr)
    return 1


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
