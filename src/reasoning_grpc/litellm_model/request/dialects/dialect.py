"""`Dialect`: the differences between a request of ours and the requests that a provider takes."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from reasoning_grpc.domain import EffectiveSetting
from reasoning_grpc.domain.errors import FieldViolation
from reasoning_grpc.llm import ModelCall

NOT_TAKEN = "The model does not take it."

Refusal = Callable[[ModelCall, str], Iterator[FieldViolation]]
"""Yields a violation for each field of a call that the provider does not take.

The second argument is litellm's name of the model that decides; see `name_deciding_model`.
"""
Change = Callable[[ModelCall, str], tuple[ModelCall, EffectiveSetting | None]]
"""Returns the call as the provider takes it, and the setting to report.

A change without a setting keeps the meaning of the call, or is described in docs/providers.md. It returns the call
itself, not a copy, when nothing changes.
"""

Report = Callable[[ModelCall, str], Iterator[EffectiveSetting]]
"""Yields a setting for each field of a call that a later change, or litellm, converts to something else."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """The refusals, reports and changes that come before litellm converts a call."""

    refusals: tuple[Refusal, ...] = ()
    """They see the call as the caller made it, so that they can name its fields."""
    reports: tuple[Report, ...] = ()
    """They see the call as the caller made it, too."""
    changes: tuple[Change, ...] = ()
    """They are applied in this order."""
