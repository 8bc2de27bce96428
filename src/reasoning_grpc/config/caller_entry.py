"""`CallerEntry`: someone who may call the server, `[callers.NAME]`, and how its table is read."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from reasoning_grpc.config.table_reader import TableReader, read_secret
from reasoning_grpc.domain import Secret

TOKEN_HASH: Final = re.compile(r"sha256:[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class CallerEntry:
    """A caller of the server, and what it may use: `[callers.NAME]`."""

    name: str
    token_hash: str
    allowed_models: frozenset[str] | None = None
    """None: all."""
    allowed_routes: frozenset[str] | None = None
    """None: all."""
    allowed_tools: frozenset[str] | None = None
    """The server's own tools that the agent may call for this caller. None: all; empty: none."""
    upstream_keys: Mapping[str, Secret] = field(default_factory=dict)
    """The keys that this caller's calls send in place of the server's: by a model's name, or by "PROVIDER/*"."""


def read_caller_entry(name: str, table: object, environment: Mapping[str, str], problems: list[str]) -> CallerEntry:
    """Reads the table `[callers.NAME]`."""
    reader = TableReader(f"callers.{name}", table, problems)
    models, routes = reader.read_texts("allowed_models"), reader.read_texts("allowed_routes")
    tools = reader.read_texts("allowed_tools")
    entry = CallerEntry(
        name=name,
        token_hash=reader.read_text("token_hash", required=True, find_problem=_find_token_hash_problem),
        allowed_models=None if models is None else frozenset(models),
        allowed_routes=None if routes is None else frozenset(routes),
        allowed_tools=None if tools is None else frozenset(tools),
        upstream_keys=_read_upstream_keys(reader, environment),
    )
    reader.report_unknown_keys()
    return entry


def hash_token(token: str) -> str:
    """Returns the hash by which the configuration knows a caller's token.

    Tokens are 256 random bits, so that nobody can search for the token behind a plain SHA-256.
    """
    return "sha256:" + hashlib.sha256(token.encode()).hexdigest()


def _read_upstream_keys(reader: TableReader, environment: Mapping[str, str]) -> dict[str, Secret]:
    """Reads the table of models or providers and their environment variables, and returns them with their keys."""
    table = reader.read_table("upstream_keys")
    keys = {name: read_secret(table, name, environment, required=True) for name in table.list_unread_keys()}
    return {name: key for name, key in keys.items() if key is not None}


def _find_token_hash_problem(value: str) -> str:
    return "" if TOKEN_HASH.fullmatch(value) else "must be what `reasoning-grpc token new` printed as the hash"
