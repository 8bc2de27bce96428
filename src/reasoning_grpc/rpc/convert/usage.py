"""Writes usage, cost, timings and attempts into their messages."""

from msgspec.structs import asdict, replace

from reasoning_grpc import domain
from reasoning_grpc.rpc.convert import enums
from reasoning_grpc.rpc.convert.scalars import token_count, write_duration
from reasoning_grpc.v1 import usage_pb2


def write_usage(message: usage_pb2.Usage, counts: domain.Usage) -> None:
    """Writes the counts of tokens; None leaves a count unset."""
    try:
        message.input_tokens = counts.input_tokens
        message.output_tokens = counts.output_tokens
        message.total_tokens = counts.total_tokens
        message.source = enums.USAGE_SOURCE.to_proto[counts.source]
        if counts.cached_input_tokens is not None:
            message.cached_input_tokens = counts.cached_input_tokens
        if counts.cache_write_tokens is not None:
            message.cache_write_tokens = counts.cache_write_tokens
        if counts.audio_input_tokens is not None:
            message.audio_input_tokens = counts.audio_input_tokens
        if counts.reasoning_tokens is not None:
            message.reasoning_tokens = counts.reasoning_tokens
        if counts.long_cache_write_tokens is not None:
            message.long_cache_write_tokens = counts.long_cache_write_tokens
    except ValueError:  # a message takes no count over the largest int32
        write_usage(message, _limit_counts(counts))


def _limit_counts(counts: domain.Usage) -> domain.Usage:
    """Returns the counts of tokens, each from 0 to the largest that a message takes."""
    numbers = {name: count for name, count in asdict(counts).items() if isinstance(count, int)}
    return replace(counts, **{name: token_count(max(count, 0)) for name, count in numbers.items()})


def write_model_call_usage(message: usage_pb2.ModelCallUsage, entry: domain.ModelCallUsage) -> None:
    """Writes what one model call used."""
    message.call = entry.call
    message.purpose = enums.MODEL_CALL_PURPOSE.to_proto[entry.purpose]
    message.model = entry.model
    write_usage(message.usage, entry.usage)
    message.task = entry.task


def write_cost(message: usage_pb2.Cost, cost: domain.Cost) -> None:
    """Writes the cost, item by item."""
    message.total_nano_usd = cost.total_nano_usd
    items = message.items
    for item in cost.items:
        entry = items.add()
        entry.model = item.model
        entry.kind = enums.TOKEN_KIND.to_proto[item.kind]
        entry.tokens = token_count(item.tokens)
        entry.nano_usd = item.nano_usd


def write_timings(message: usage_pb2.Timings, times: domain.Timings) -> None:
    """Writes where the time of a request went."""
    write_duration(message.queue_duration, times.queue_seconds)
    write_duration(message.routing_duration, times.routing_seconds)
    if times.first_token_seconds is not None:
        write_duration(message.first_token_duration, times.first_token_seconds)
    write_duration(message.total_duration, times.total_seconds)
    write_duration(message.overhead_duration, times.overhead_seconds)


def write_attempt(message: usage_pb2.Attempt, made: domain.Attempt) -> None:
    """Writes one attempt at a model call."""
    message.call = made.call
    message.number = made.number
    message.model = made.model
    write_duration(message.start_offset, made.start_offset_seconds)
    write_duration(message.duration, made.duration_seconds)
    if made.failure:
        message.failure = enums.error_reason(made.failure)
    message.http_status = made.http_status
