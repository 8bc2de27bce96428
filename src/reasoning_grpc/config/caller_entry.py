"""`CallerEntry`: someone who may call the server, `[callers.NAME]`, and how its table is read."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from reasoning_grpc.config.table_reader import TableReader, read_secret
from reasoning_grpc.domain import DEFAULT_PRIORITY, CallerLimits, Secret

TOKEN_HASH: Final = re.compile(r"sha256:[0-9a-f]{64}")
_HIGHEST_PRIORITY: Final = 9
_TOKEN_HASH_PROBLEM: Final = "must be what `reasoning-grpc token new` printed as the hash"


@dataclass(frozen=True, slots=True, kw_only=True)
class CallerEntry:
    """A caller of the server, and what it may use: `[callers.NAME]`."""

    name: str
    token_hash: str = ""
    """The hash of the caller's token; empty where `token_hashes` or `certificate_names` say who the caller is."""
    token_hashes: tuple[str, ...] = ()
    """The hashes of further tokens: two tokens are valid while one replaces the other."""
    certificate_names: tuple[str, ...] = ()
    """The names in client certificates that are this caller: subject alternative names, or common names."""
    limits: CallerLimits | None = None
    """None: nothing is limited."""
    priority: int = DEFAULT_PRIORITY
    """When the server is full, callers with the lowest priority are refused first."""
    allowed_models: frozenset[str] | None = None
    """None: all."""
    allowed_routes: frozenset[str] | None = None
    """None: all."""
    allowed_tools: frozenset[str] | None = None
    """The server's own tools that the agent may call for this caller. None: all; empty: none."""
    upstream_keys: Mapping[str, Secret] = field(default_factory=dict)
    """The keys that this caller's calls send in place of the server's: by a model's name, or by "PROVIDER/*"."""

    def list_token_hashes(self) -> tuple[str, ...]:
        """Returns the hashes of all tokens of the caller."""
        return (self.token_hash, *self.token_hashes) if self.token_hash else self.token_hashes


def read_caller_entry(name: str, table: object, environment: Mapping[str, str], problems: list[str]) -> CallerEntry:
    """Reads the table `[callers.NAME]`."""
    reader = TableReader(f"callers.{name}", table, problems)
    token_hash, token_hashes, certificate_names = _read_identity(reader, problems)
    models, routes = reader.read_texts("allowed_models"), reader.read_texts("allowed_routes")
    tools = reader.read_texts("allowed_tools")
    entry = CallerEntry(
        name=name,
        token_hash=token_hash,
        token_hashes=token_hashes,
        certificate_names=certificate_names,
        limits=_read_limits(reader),
        priority=reader.read_count("priority", _HIGHEST_PRIORITY) or DEFAULT_PRIORITY,
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


def _read_identity(reader: TableReader, problems: list[str]) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
    """Reads the hash, further hashes and the certificates' names by which the caller is known: at least one of them."""
    already_found = len(problems)
    token_hash = reader.read_text("token_hash", find_problem=_find_token_hash_problem)
    token_hashes = reader.read_texts("token_hashes") or ()
    for row, value in enumerate(token_hashes):
        if problem := _find_token_hash_problem(value):
            reader.report(f"token_hashes[{row}]", problem)
    certificate_names = reader.read_texts("certificate_names") or ()
    if not (token_hash or token_hashes or certificate_names or problems[already_found:]):
        reader.report("token_hash", "is missing")
    return token_hash, token_hashes, certificate_names


def _read_limits(reader: TableReader) -> CallerLimits | None:
    """Reads the limits of a caller; returns None when it has none."""
    limits = CallerLimits(
        requests_per_minute=reader.read_count("requests_per_minute"),
        tokens_per_minute=reader.read_count("tokens_per_minute"),
        calls_in_flight=reader.read_count("calls_in_flight"),
        nano_usd_per_day=reader.read_amount("usd_per_day"),
    )
    return None if limits == CallerLimits() else limits


def _find_token_hash_problem(value: str) -> str:
    return "" if TOKEN_HASH.fullmatch(value) else _TOKEN_HASH_PROBLEM
