"""The messages between a server and the child that serves its admin ports."""

import msgspec

from reasoning_grpc.server.reports import Report


class OpenPorts(msgspec.Struct, frozen=True, tag="open"):
    """Requests that the child listens; the first message that it gets."""

    admin_listen: str
    """The address of the HTTP port; empty: there is none."""
    health_listen: str
    """The address of the gRPC port; empty: there is none."""


class EndedMetrics(msgspec.Struct, frozen=True, tag="metrics"):
    """The metrics of workers that had ended before this child was started."""

    metrics: bytes


class PortsOpen(msgspec.Struct, frozen=True, tag="opened"):
    """The child listens, at these addresses."""

    admin_address: str
    health_address: str


class PortsProblem(msgspec.Struct, frozen=True, tag="problem"):
    """The child cannot listen; it ends."""

    problem: str
    """One line that says why."""


class LogLine(msgspec.Struct, frozen=True, tag="log"):
    """A line that the child logs, and the server writes."""

    level: int
    logger: str
    message: str


ToChild = OpenPorts | EndedMetrics | Report
FromChild = PortsOpen | PortsProblem | LogLine
