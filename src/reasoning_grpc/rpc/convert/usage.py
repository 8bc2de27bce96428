"""Converts usage, cost, timings and attempts, to the fields of their messages.

A message takes the fields of a message inside it as a dictionary, for a third of what it takes to build that message
and to copy it. These values stand in every answer, so they are given in this form.
"""

from typing import Any

from reasoning_grpc import domain
from reasoning_grpc.rpc.convert import enums
from reasoning_grpc.rpc.convert.scalars import duration, optional_duration, token_count

Fields = Any
"""The fields of a message by their names. It is Any because the stubs know only the message itself."""


def usage(counts: domain.Usage) -> Fields:
    """Returns the counts of tokens; None leaves a count unset."""
    fields: dict[str, Any] = {
        "input_tokens": token_count(counts.input_tokens),
        "output_tokens": token_count(counts.output_tokens),
        "total_tokens": token_count(counts.total_tokens),
        "source": enums.USAGE_SOURCE.to_proto[counts.source],
    }
    if counts.cached_input_tokens is not None:
        fields["cached_input_tokens"] = token_count(counts.cached_input_tokens)
    if counts.cache_write_tokens is not None:
        fields["cache_write_tokens"] = token_count(counts.cache_write_tokens)
    if counts.audio_input_tokens is not None:
        fields["audio_input_tokens"] = token_count(counts.audio_input_tokens)
    if counts.reasoning_tokens is not None:
        fields["reasoning_tokens"] = token_count(counts.reasoning_tokens)
    if counts.long_cache_write_tokens is not None:
        fields["long_cache_write_tokens"] = token_count(counts.long_cache_write_tokens)
    return fields


def optional_usage(counts: domain.Usage | None) -> Fields:
    """Returns the counts of tokens; None leaves the field unset."""
    return None if counts is None else usage(counts)


def model_call_usage(entry: domain.ModelCallUsage) -> Fields:
    """Returns what one model call used."""
    return {
        "call": entry.call,
        "purpose": enums.MODEL_CALL_PURPOSE.to_proto[entry.purpose],
        "model": entry.model,
        "usage": usage(entry.usage),
    }


def optional_cost(cost: domain.Cost | None) -> Fields:
    """Returns the cost, item by item; None leaves the field unset."""
    if cost is None:
        return None
    items = [
        {
            "model": item.model,
            "kind": enums.TOKEN_KIND.to_proto[item.kind],
            "tokens": token_count(item.tokens),
            "nano_usd": item.nano_usd,
        }
        for item in cost.items
    ]
    return {"total_nano_usd": cost.total_nano_usd, "items": items}


def timings(times: domain.Timings) -> Fields:
    """Returns where the time of a request went."""
    return {
        "queue_duration": duration(times.queue_seconds),
        "routing_duration": duration(times.routing_seconds),
        "first_token_duration": optional_duration(times.first_token_seconds),
        "total_duration": duration(times.total_seconds),
        "overhead_duration": duration(times.overhead_seconds),
    }


def attempt(made: domain.Attempt) -> Fields:
    """Returns one attempt at a model call."""
    return {
        "call": made.call,
        "number": made.number,
        "model": made.model,
        "start_offset": duration(made.start_offset_seconds),
        "duration": duration(made.duration_seconds),
        "failure": enums.error_reason(made.failure),
        "http_status": made.http_status,
    }
