"""Converts usage, cost, timings and attempts."""

from reasoning_grpc import domain
from reasoning_grpc.rpc.convert import enums
from reasoning_grpc.rpc.convert.scalars import duration, optional_duration, token_count
from reasoning_grpc.v1 import usage_pb2


def usage(counts: domain.Usage) -> usage_pb2.Usage:
    """Returns the counts of tokens; None leaves a count unset."""
    message = usage_pb2.Usage(
        input_tokens=token_count(counts.input_tokens),
        output_tokens=token_count(counts.output_tokens),
        total_tokens=token_count(counts.total_tokens),
        source=enums.USAGE_SOURCE.to_proto[counts.source],
    )
    if counts.cached_input_tokens is not None:
        message.cached_input_tokens = token_count(counts.cached_input_tokens)
    if counts.cache_write_tokens is not None:
        message.cache_write_tokens = token_count(counts.cache_write_tokens)
    if counts.audio_input_tokens is not None:
        message.audio_input_tokens = token_count(counts.audio_input_tokens)
    if counts.reasoning_tokens is not None:
        message.reasoning_tokens = token_count(counts.reasoning_tokens)
    if counts.long_cache_write_tokens is not None:
        message.long_cache_write_tokens = token_count(counts.long_cache_write_tokens)
    return message


def optional_usage(counts: domain.Usage | None) -> usage_pb2.Usage | None:
    """Returns the counts of tokens; None leaves the field unset."""
    return None if counts is None else usage(counts)


def model_call_usage(entry: domain.ModelCallUsage) -> usage_pb2.ModelCallUsage:
    """Returns what one model call used."""
    return usage_pb2.ModelCallUsage(
        call=entry.call,
        purpose=enums.MODEL_CALL_PURPOSE.to_proto[entry.purpose],
        model=entry.model,
        usage=usage(entry.usage),
    )


def optional_cost(cost: domain.Cost | None) -> usage_pb2.Cost | None:
    """Returns the cost, item by item; None leaves the field unset."""
    if cost is None:
        return None
    items = [
        usage_pb2.CostItem(
            model=item.model,
            kind=enums.TOKEN_KIND.to_proto[item.kind],
            tokens=token_count(item.tokens),
            nano_usd=item.nano_usd,
        )
        for item in cost.items
    ]
    return usage_pb2.Cost(total_nano_usd=cost.total_nano_usd, items=items)


def timings(times: domain.Timings) -> usage_pb2.Timings:
    """Returns where the time of a request went."""
    return usage_pb2.Timings(
        queue_duration=duration(times.queue_seconds),
        routing_duration=duration(times.routing_seconds),
        first_token_duration=optional_duration(times.first_token_seconds),
        total_duration=duration(times.total_seconds),
        overhead_duration=duration(times.overhead_seconds),
    )


def attempt(made: domain.Attempt) -> usage_pb2.Attempt:
    """Returns one attempt at a model call."""
    return usage_pb2.Attempt(
        call=made.call,
        number=made.number,
        model=made.model,
        start_offset=duration(made.start_offset_seconds),
        duration=duration(made.duration_seconds),
        failure=enums.error_reason(made.failure),
        http_status=made.http_status,
    )
