"""The options of a client that receives little beyond what it reads."""

from typing import Final

NARROW: Final = (
    ("grpc.http2.lookahead_bytes", 65_536),
    ("grpc.http2.bdp_probe", 0),
    ("grpc.use_local_subchannel_pool", 1),
)
"""A window of 64 KB, which does not grow to megabytes as gRPC's own does, over a connection of the client's own."""
