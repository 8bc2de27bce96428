"""What a running server takes of a new configuration: all but what needs a restart."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final, TypeVar

from reasoning_grpc.config.fingerprint import is_same
from reasoning_grpc.config.settings import Config, EmbeddedUse, options

E = TypeVar("E")

_TLS_FILES: Final = ("tls_certificate", "tls_key", "tls_client_ca")


def find_kept_options(old: Config, new: Config) -> dict[str, Any]:
    """Returns the options that differ and need a restart, with the values that a running server keeps.

    TLS cannot be turned on or off, nor can the demand for the certificates of clients; the files may be others.
    """
    kept = {
        option.name: getattr(old.settings, option.name)
        for option in options()
        if option.needs_restart and getattr(old.settings, option.name) != getattr(new.settings, option.name)
    }
    if old.runs_embedded != new.runs_embedded:
        kept["embedded"] = EmbeddedUse.ON if old.runs_embedded else EmbeddedUse.OFF
    for name in _TLS_FILES:
        file = getattr(old.settings, name)
        if (file is None) != (getattr(new.settings, name) is None):
            kept[name] = file
    return kept


def keep_unchanged_entries(old: Config, new: Config) -> Config:
    """Returns the new configuration with the old objects of the entries that say the same.

    What was built for an entry, such as a connection to an MCP server, can then be kept.
    """
    return replace(
        new,
        models=_keep_unchanged(old.models, new.models),
        callers=_keep_unchanged(old.callers, new.callers),
        tools=_keep_unchanged(old.tools, new.tools),
        mcp_servers=_keep_unchanged(old.mcp_servers, new.mcp_servers),
        proxy=old.proxy if is_same(old.proxy, new.proxy) else new.proxy,
        upstream_proxy=old.upstream_proxy if is_same(old.upstream_proxy, new.upstream_proxy) else new.upstream_proxy,
    )


def _keep_unchanged(old: Mapping[str, E], new: Mapping[str, E]) -> dict[str, E]:
    return {name: old[name] if name in old and is_same(old[name], entry) else entry for name, entry in new.items()}
