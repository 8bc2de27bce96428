"""`UpstreamProxyEntry`: the HTTP proxy through which upstreams are reached, and which hosts are reached without it."""

import ipaddress
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

from reasoning_grpc.config.problems import describe_unset_variable
from reasoning_grpc.config.table_reader import VARIABLE_NAME, find_url_problem
from reasoning_grpc.domain import Secret

_KEY: Final = "upstream_proxy"
_EXCLUDE_KEY: Final = "upstream_proxy_exclude"
_CREDENTIALS_KEY: Final = "upstream_proxy_credentials_env"
_EXAMPLE: Final = "http://proxy.example.com:3128"
_HOST_NAME: Final = re.compile(r"\.?[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*")
_CREDENTIALS: Final = re.compile(r"[^:\x00-\x1f\x7f]+:[^\x00-\x1f\x7f]*")

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamProxyEntry:
    """The proxy of all upstreams but those on this machine and those that are excluded."""

    url: str
    credentials: Secret | None = None
    """"USER:PASSWORD", which every request to the proxy needs. None: it needs none."""
    excluded_names: frozenset[str] = frozenset()
    """Host names, each with all names below it."""
    excluded_networks: tuple[Network, ...] = field(default=())

    def carries(self, host: str) -> bool:
        """Returns whether requests to this host go through the proxy. No name is looked up."""
        name = host.strip("[]").rstrip(".").lower()
        address = _read_address(name)
        if address is not None:
            is_local = address.is_loopback or address.is_unspecified
            return not is_local and not any(address in network for network in self.excluded_networks)
        labels = name.split(".")
        if labels[-1] == "localhost":
            return False
        return not any(".".join(labels[start:]) in self.excluded_names for start in range(len(labels)))


def read_upstream_proxy(
    url: str,
    exclude: str,
    credentials_variable: str,
    environment: Mapping[str, str],
    report: Callable[[str, str], None],
) -> UpstreamProxyEntry | None:
    """Returns the proxy of the upstreams, from the values of its options; None when no proxy is named.

    `report` takes an option's key and what is wrong with its value.
    """
    credentials = _read_credentials(credentials_variable, environment, report) if credentials_variable else None
    names: set[str] = set()
    networks: list[Network] = []
    for item in filter(None, map(str.strip, exclude.lower().split(","))):
        if (network := _read_network(item)) is not None:
            networks.append(network)
        elif _HOST_NAME.fullmatch(item) and not item.replace(".", "").isdecimal():
            names.add(item.removeprefix("."))
        else:
            report(_EXCLUDE_KEY, f"{item!r} is not the name of a host, an address or a network such as 10.0.0.0/8")
    if not url:
        for key, value in ((_EXCLUDE_KEY, exclude), (_CREDENTIALS_KEY, credentials_variable)):
            if value:
                report(key, f"needs {_KEY}")
        return None
    if problem := find_url_problem(url, _EXAMPLE, _CREDENTIALS_KEY):
        report(_KEY, problem)
    elif (parts := urlsplit(url)).path not in {"", "/"} or parts.query or parts.fragment:
        report(_KEY, f'must have no path, such as "{_EXAMPLE}"')
    return UpstreamProxyEntry(
        url=url.rstrip("/"),
        credentials=credentials,
        excluded_names=frozenset(names),
        excluded_networks=tuple(networks),
    )


def _read_credentials(
    variable: str, environment: Mapping[str, str], report: Callable[[str, str], None]
) -> Secret | None:
    if not VARIABLE_NAME.fullmatch(variable):
        report(_CREDENTIALS_KEY, "must be the name of an environment variable, and not the credentials")
        return None
    value = environment.get(variable, "")
    if not value:
        report(_CREDENTIALS_KEY, describe_unset_variable(variable))
    elif not _CREDENTIALS.fullmatch(value):
        report(_CREDENTIALS_KEY, f"the environment variable {variable} must be USER:PASSWORD")
    return Secret(value)


def _read_network(text: str) -> Network | None:
    """Returns the network that a text names, or the one that has only the address that it names."""
    try:
        return ipaddress.ip_network(text.strip("[]"), strict=False)
    except ValueError:
        return None


def _read_address(text: str) -> Address | None:
    """Returns the address that a host is; None for a name. An address of IPv4 within IPv6 is that of IPv4."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address
