"""A real OTLP receiver over gRPC on port 0: it keeps what a collector would get, and can hang."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Self

import grpc
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from tests.support.upstream.changes import Changes

_EXPORT_SPANS: Final = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
_EXPORT_METRICS: Final = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export"

KINDS: Final = {Span.SPAN_KIND_INTERNAL: "INTERNAL", Span.SPAN_KIND_SERVER: "SERVER", Span.SPAN_KIND_CLIENT: "CLIENT"}
STATUSES: Final = {
    Status.STATUS_CODE_UNSET: "UNSET",
    Status.STATUS_CODE_OK: "OK",
    Status.STATUS_CODE_ERROR: "ERROR",
}


@dataclass(frozen=True)
class ReceivedSpan:
    """A span as it was exported."""

    name: str
    kind: str
    trace_id: str
    span_id: str
    parent_id: str
    """Empty: it has no parent."""
    attributes: Mapping[str, Any]
    status: tuple[str, str]
    """The code and the description."""
    events: tuple[str, ...]
    """The names of its events."""
    scope: str
    resource: Mapping[str, Any] = field(repr=False)
    seconds: float

    def is_continued_by(self, headers: Mapping[str, str]) -> bool:
        """Whether an upstream that gets these headers continues from this span, in a sampled trace."""
        version, trace_id, span_id, flags = headers["traceparent"].split("-")
        return (version, trace_id, span_id) == ("00", self.trace_id, self.span_id) and bool(int(flags, 16) & 1)


class OtlpReceiver(grpc.GenericRpcHandler):
    """Keeps everything that is exported to it."""

    def __init__(self) -> None:
        self._server = grpc.aio.server()
        self._changes = Changes()
        self._answers = asyncio.Event()
        self._answers.set()
        self.raw: list[bytes] = []
        """Every request, as it came over the wire."""
        self.metadata: list[dict[str, Any]] = []
        """The metadata of every request."""
        self.spans: list[ReceivedSpan] = []
        self.metrics: list[Metric] = []
        self.metric_resources: list[dict[str, Any]] = []
        """The attributes of the resource of each export of metrics."""
        self.port = 0

    async def __aenter__(self) -> Self:
        self._server.add_generic_rpc_handlers([self])
        self.port = self._server.add_insecure_port("127.0.0.1:0")
        await self._server.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._answers.set()
        await self._server.stop(None)

    @property
    def endpoint(self) -> str:
        """The receiver's address, as a value of OTEL_EXPORTER_OTLP_ENDPOINT."""
        return f"http://127.0.0.1:{self.port}"

    def hang(self) -> None:
        """Accepts requests from now on without answering them."""
        self._answers.clear()

    async def expect_requests(self, n: int = 1) -> None:
        """Waits for the n-th request."""
        await self._changes.expect(
            lambda: len(self.raw) >= n, lambda: f"expected {n} exports, there were {len(self.raw)}"
        )

    async def expect_spans(self, name: str, n: int = 1) -> list[ReceivedSpan]:
        """Waits for n spans of this name, and returns all of them in the order in which they ended."""
        await self._changes.expect(
            lambda: len(self._find_spans(name)) >= n,
            lambda: f"expected {n} spans {name!r}, there are {[span.name for span in self.spans]}",
        )
        return self._find_spans(name)

    async def expect_metric(self, name: str) -> Metric:
        """Waits for a metric of this name, and returns it."""
        await self._changes.expect(
            lambda: any(metric.name == name for metric in self.metrics), lambda: f"expected the metric {name!r}"
        )
        return next(metric for metric in self.metrics if metric.name == name)

    async def expect(self, condition: Callable[[], bool], expected: str) -> None:
        """Waits until an export makes the condition true; `expected` describes it in the failure."""
        await self._changes.expect(condition, lambda: f"{expected}, the last metrics were {self.metrics[-1:]}")

    def _find_spans(self, name: str) -> list[ReceivedSpan]:
        return [span for span in self.spans if span.name == name]

    def service(self, handler_call_details: Any) -> Any:
        """See `grpc.GenericRpcHandler`: serves the methods of a collector, with messages as bytes."""
        methods = {_EXPORT_SPANS: self._record_spans, _EXPORT_METRICS: self._record_metrics}
        record = methods.get(handler_call_details.method)
        if record is None:
            return None

        async def export(payload: bytes, context: Any) -> bytes:
            self.raw.append(payload)
            self.metadata.append(dict(context.invocation_metadata()))
            self._changes.notify()
            await self._answers.wait()
            answer = record(payload)
            self._changes.notify()
            return answer

        return grpc.unary_unary_rpc_method_handler(export)

    def _record_spans(self, payload: bytes) -> bytes:
        for resource_spans in ExportTraceServiceRequest.FromString(payload).resource_spans:
            resource = _convert_attributes(resource_spans.resource.attributes)
            for scope_spans in resource_spans.scope_spans:
                self.spans += [_convert_span(span, scope_spans.scope.name, resource) for span in scope_spans.spans]
        return ExportTraceServiceResponse().SerializeToString()

    def _record_metrics(self, payload: bytes) -> bytes:
        for resource_metrics in ExportMetricsServiceRequest.FromString(payload).resource_metrics:
            self.metric_resources.append(_convert_attributes(resource_metrics.resource.attributes))
            for scope_metrics in resource_metrics.scope_metrics:
                self.metrics += scope_metrics.metrics
        return ExportMetricsServiceResponse().SerializeToString()


def _convert_span(span: Span, scope: str, resource: Mapping[str, Any]) -> ReceivedSpan:
    return ReceivedSpan(
        name=span.name,
        kind=KINDS[span.kind],
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_id=span.parent_span_id.hex(),
        attributes=_convert_attributes(span.attributes),
        status=(STATUSES[span.status.code], span.status.message),
        events=tuple(event.name for event in span.events),
        scope=scope,
        resource=resource,
        seconds=(span.end_time_unix_nano - span.start_time_unix_nano) / 1e9,
    )


def _convert_attributes(attributes: Any) -> dict[str, Any]:
    pairs: list[KeyValue] = list(attributes)
    return {pair.key: _convert_value(pair.value) for pair in pairs}


def _convert_value(value: AnyValue) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_convert_value(item) for item in value.array_value.values]
    return None if kind is None else getattr(value, kind)
