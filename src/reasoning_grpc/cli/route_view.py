"""Describes a routing decision in lines for a person, for `ask` and `classify`."""

from collections.abc import Iterator

from reasoning_grpc.cli.console import remove_control_characters
from reasoning_grpc.v1 import errors_pb2, routing_pb2, usage_pb2

_NANO = 1_000_000_000


def route_lines(route: routing_pb2.RouteDecision) -> Iterator[str]:
    """Yields a line about what decided, and one about the classifier's work, if there is a classifier."""
    source = routing_pb2.RouteSource.Name(route.source).removeprefix("ROUTE_SOURCE_").lower().replace("_", " ")
    model = f" with {route.model}" if route.model else ""
    sure = f", {route.confidence * 100:.0f} % sure" if route.HasField("confidence") else ""
    yield f"{route.route}{model} ({source}{sure}: {route.reason})"
    if route.HasField("classification"):
        yield f"classifier: {', '.join(_classification_facts(route.classification))}"


def _classification_facts(work: routing_pb2.Classification) -> Iterator[str]:
    yield f"{'would ask ' if work.skipped else ''}{work.model or 'no model'} for one of {' '.join(work.routes)}"
    if work.HasField("latency"):
        yield f"{work.latency.ToMilliseconds()} ms"
    if work.HasField("usage"):
        about = "about " if work.usage.source == usage_pb2.USAGE_SOURCE_ESTIMATED else ""
        yield f"{about}{work.usage.input_tokens} + {work.usage.output_tokens} tokens"
    if work.HasField("cost"):
        yield f"${work.cost.total_nano_usd / _NANO:.6f}"
    if work.failure:
        reason = errors_pb2.ErrorReason.Name(work.failure).removeprefix("ERROR_REASON_")
        yield f"{reason}: {remove_control_characters(work.failure_detail)}"
    if work.flaw:
        flaw = errors_pb2.AnswerFlaw.Name(work.flaw).removeprefix("ANSWER_FLAW_")
        yield f"its answer is {flaw}: {remove_control_characters(work.failure_detail)}"
