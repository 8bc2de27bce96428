"""Makes the configuration of Envoy in a cluster from the shipped one, `deploy/envoy/envoy.yaml`.

The words between @ are replaced by the chart. All that the shipped configuration says about balancing, retries, health
and timeouts stays as it is.
"""

import copy
from collections.abc import Mapping
from typing import Any, Final

SERVERS: Final = "@servers@"
HEAP_BYTES: Final = "@heap_bytes@"
ANY_ADDRESS: Final = "@any_address@"
SERVER_NAME: Final = "@server_name@"
STATUS_PORT: Final = 9902
_SERVER_PORT: Final = 50051
_TYPES: Final = "type.googleapis.com/envoy.extensions"
_TLS: Final = f"{_TYPES}.transport_sockets.tls.v3"

Tree = dict[str, Any]


def build_config(shipped: Mapping[str, Any], *, tls: bool) -> Tree:
    """Returns the configuration of an Envoy in front of the headless Service.

    With `tls`, Envoy shows the certificate of the servers to clients, and checks that of the servers behind it.
    """
    config: Tree = copy.deepcopy(dict(shipped))
    resources = config["static_resources"]
    [listener] = resources["listeners"]
    [cluster] = resources["clusters"]
    _open_listener(listener)
    _find_servers_by_name(cluster)
    if tls:
        [chain] = listener["filter_chains"]
        chain["transport_socket"] = _build_client_side()
        cluster["transport_socket"] = _build_server_side()
    resources["listeners"].append(_build_status_listener())
    resources["clusters"].append(_build_admin_cluster(config["admin"]["address"]))
    heap, *_ = config["overload_manager"]["resource_monitors"]
    heap["typed_config"]["max_heap_size_bytes"] = HEAP_BYTES
    return config


def _open_listener(listener: Tree) -> None:
    """Lets others than this machine connect."""
    listener["address"]["socket_address"]["address"] = ANY_ADDRESS


def _find_servers_by_name(cluster: Tree) -> None:
    """Takes the servers from the addresses of the headless Service, in place of a list of endpoints."""
    # Each address is a server of its own, which is what the older name STRICT_DNS of this type says.
    names = {
        "@type": f"{_TYPES}.clusters.dns.v3.DnsCluster",
        "dns_refresh_rate": "1s",
        "dns_lookup_family": "ALL",
        "all_addresses_in_single_endpoint": False,
    }
    del cluster["type"]
    cluster["cluster_type"] = {"name": "envoy.clusters.dns", "typed_config": names}
    address = {"socket_address": {"address": SERVERS, "port_value": _SERVER_PORT}}
    cluster["load_assignment"]["endpoints"] = [{"lb_endpoints": [{"endpoint": {"address": address}}]}]


def _build_client_side() -> Tree:
    """Returns TLS towards clients, with a certificate that is read again when its file changes."""
    certificate = {"name": "certificate", "sds_config": _read_file("certificate")}
    common = {"alpn_protocols": ["h2"], "tls_certificate_sds_secret_configs": [certificate]}
    return _build_socket("DownstreamTlsContext", {"common_tls_context": common})


def _build_server_side() -> Tree:
    """Returns TLS towards servers, whose certificate must have the configured name."""
    names = [{"san_type": "DNS", "matcher": {"exact": SERVER_NAME}}]
    validation = {
        "default_validation_context": {"match_typed_subject_alt_names": names},
        "validation_context_sds_secret_config": {"name": "authorities", "sds_config": _read_file("authorities")},
    }
    common = {"alpn_protocols": ["h2"], "combined_validation_context": validation}
    return _build_socket("UpstreamTlsContext", {"sni": SERVER_NAME, "common_tls_context": common})


def _build_socket(context: str, fields: Tree) -> Tree:
    return {"name": "envoy.transport_sockets.tls", "typed_config": {"@type": f"{_TLS}.{context}", **fields}}


def _read_file(name: str) -> Tree:
    return {"path_config_source": {"path": f"/etc/envoy/{name}.yaml"}, "resource_api_version": "V3"}


def _build_status_listener() -> Tree:
    """Returns a port for the kubelet and Prometheus; the admin page itself, which can stop Envoy, stays on loopback."""
    ready = {
        "@type": f"{_TYPES}.filters.http.health_check.v3.HealthCheck",
        "pass_through_mode": False,
        "headers": [{"name": ":path", "string_match": {"exact": "/ready"}}],
    }
    routes = [
        {"match": {"path": "/stats/prometheus"}, "route": {"cluster": "admin"}},
        {"match": {"prefix": "/"}, "direct_response": {"status": 404}},
    ]
    manager = {
        "@type": f"{_TYPES}.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "status",
        "http_filters": [
            {"name": "envoy.filters.http.health_check", "typed_config": ready},
            {
                "name": "envoy.filters.http.router",
                "typed_config": {"@type": f"{_TYPES}.filters.http.router.v3.Router"},
            },
        ],
        "route_config": {"virtual_hosts": [{"name": "status", "domains": ["*"], "routes": routes}]},
    }
    filters = [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]
    return {
        "name": "status",
        "address": {"socket_address": {"address": ANY_ADDRESS, "port_value": STATUS_PORT}},
        "filter_chains": [{"filters": filters}],
    }


def _build_admin_cluster(address: Tree) -> Tree:
    """Returns the cluster of Envoy's own admin page."""
    endpoints = [{"lb_endpoints": [{"endpoint": {"address": copy.deepcopy(address)}}]}]
    return {
        "name": "admin",
        "type": "STATIC",
        "connect_timeout": "1s",
        "load_assignment": {"cluster_name": "admin", "endpoints": endpoints},
    }
