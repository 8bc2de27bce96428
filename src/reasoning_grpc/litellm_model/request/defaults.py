"""`merge_defaults`: the parameters that the configuration sets for the calls of a model that leave them unset."""

from collections.abc import Callable
from typing import Final

from msgspec.structs import fields, replace

from reasoning_grpc.domain import Sampling
from reasoning_grpc.domain.errors import FieldViolation
from reasoning_grpc.llm import ModelCall

FindViolations = Callable[[ModelCall], tuple[FieldViolation, ...]]
"""Returns the fields of a call that its provider does not take."""

_NO_DEFAULTS: Final = Sampling()
_LIMIT: Final = "max_output_tokens"
_OTHERS: Final = tuple(field.name for field in fields(Sampling) if field.name != _LIMIT)


def merge_defaults(
    call: ModelCall, defaults: Sampling, find_violations: FindViolations
) -> tuple[ModelCall, tuple[FieldViolation, ...]]:
    """Returns the call with the defaults of its model, and the fields that the provider does not take.

    A default that the provider does not take in this call is left out: the caller has not set it. The limit of
    output tokens always holds, because it limits the cost.
    """
    if defaults == _NO_DEFAULTS:
        return call, find_violations(call)
    call = _merge(call, defaults, (_LIMIT,))
    violations = find_violations(call)
    names = [name for name in _OTHERS if _is_unset(call.sampling, name) and not _is_unset(defaults, name)]
    if not names:
        return call, violations
    whole = _merge(call, defaults, names)
    if find_violations(whole) == violations:
        return whole, violations
    for name in names:
        merged = _merge(call, defaults, (name,))
        if find_violations(merged) == violations:
            call = merged
    return call, violations


def _merge(call: ModelCall, defaults: Sampling, names: list[str] | tuple[str, ...]) -> ModelCall:
    values = {name: getattr(defaults, name) for name in names if _is_unset(call.sampling, name)}
    if all(getattr(call.sampling, name) == value for name, value in values.items()):
        return call
    return replace(call, sampling=replace(call.sampling, **values))


def _is_unset(sampling: Sampling, name: str) -> bool:
    return getattr(sampling, name) in (None, (), {})
