"""Starts TensorZero's gateway, which its Python package carries. The function is private: the version is pinned.

Usage: python -m bench.load.tensorzero_server CONFIG
"""

import sys
import time

from tensorzero import tensorzero

gateway = tensorzero._start_http_gateway(
    config_file=sys.argv[1], clickhouse_url=None, postgres_url=None, valkey_url=None, async_setup=False
)
print(gateway.base_url, flush=True)
while True:
    time.sleep(3600)
