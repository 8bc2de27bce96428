"""`find_refused_fields`: finds by trial which fields of a call litellm refuses to convert.

litellm refuses some calls in words that name no parameter, and breaks on others. A call without the field at fault
passes, so such a call is prepared again without each field. Nothing is sent.
"""

from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import Final

from msgspec.structs import fields, replace

from reasoning_grpc.domain import Message, Part, ReasoningOptions, Role, Sampling, Text
from reasoning_grpc.domain.errors import FieldViolation
from reasoning_grpc.litellm_model.request import FIELD_OF_PARAMETER
from reasoning_grpc.llm import ModelCall

IsTaken = Callable[[ModelCall], Awaitable[bool]]
"""Whether litellm converts a call."""

_NOT_TAKEN: Final = "The model does not take it."
_UNSET: Final = Sampling()
_OF_TOOLS: Final = frozenset({"tool_choice", "parallel_tool_calls"})
_PARAMETERS: Final = frozenset(FIELD_OF_PARAMETER.values()) - {"messages"}
"""The fields that are parameters, and not parts of the conversation."""
_SHORT: Final = (Message(Role.USER, (Part(Text("hi")),)),)


def select_set_fields(call: ModelCall, violations: Iterable[FieldViolation]) -> tuple[FieldViolation, ...]:
    """Returns the violations of fields that the call sets; litellm's texts name other parameters, too."""
    is_set = {name for name, _ in _reduce(call)}
    return tuple(each for each in violations if each.field in is_set or each.field not in _PARAMETERS)


async def find_refused_fields(call: ModelCall, is_taken: IsTaken) -> tuple[FieldViolation, ...]:
    """Returns a violation for each field without which the call would pass, or for the fewest without which it would.

    The parameters are tried with a short conversation, because a long one takes time to convert.
    """
    short = replace(call, messages=_SHORT)
    if await is_taken(short):
        names = [f"messages[{await _find_first_refused(call, is_taken)}]"]
    else:
        names = [name for name, reduced in _reduce(short) if await is_taken(reduced)]
        names = names or await _find_refused_together(short, is_taken)
        if _OF_TOOLS & set(names):
            names.remove("tools")  # without the tools, these fields are gone too
    return tuple(FieldViolation(name, _NOT_TAKEN) for name in names)


async def _find_refused_together(call: ModelCall, is_taken: IsTaken) -> list[str]:
    """Returns the fields all of which must go before the call passes; empty where it never does."""
    names: list[str] = []
    for name, _ in _reduce(call):
        names.append(name)
        if await is_taken(_remove(call, names)):
            break
    else:
        return []
    for name in names[:-1]:
        others = [each for each in names if each != name]
        if await is_taken(_remove(call, others)):
            names = others
    return names


def _remove(call: ModelCall, names: Iterable[str]) -> ModelCall:
    for name in names:
        call = dict(_reduce(call)).get(name, call)  # without the tools, their choice is gone too
    return call


def _reduce(call: ModelCall) -> Iterator[tuple[str, ModelCall]]:
    """Yields each field that is set, and the call without it."""
    for field in fields(Sampling):
        unset = getattr(_UNSET, field.name)
        if getattr(call.sampling, field.name) != unset:
            yield f"sampling.{field.name}", replace(call, sampling=replace(call.sampling, **{field.name: unset}))
    if call.tools:
        yield "tools", replace(call, tools=(), tool_choice=None, parallel_tool_calls=None)
    if call.tool_choice is not None:
        yield "tool_choice", replace(call, tool_choice=None)
    if call.parallel_tool_calls is not None:
        yield "parallel_tool_calls", replace(call, parallel_tool_calls=None)
    if call.response_format is not None:
        yield "response_format", replace(call, response_format=None)
    if call.reasoning.effort is not None:
        yield "reasoning.effort", replace(call, reasoning=ReasoningOptions())
    if call.reasoning.budget_tokens is not None:
        yield "reasoning.budget_tokens", replace(call, reasoning=ReasoningOptions())
    if call.end_user:
        yield "end_user", replace(call, end_user="")
    if call.provider_options:
        yield "provider_options", replace(call, provider_options={})


async def _find_first_refused(call: ModelCall, is_taken: IsTaken) -> int:
    """Returns the index of the message with which a beginning of the conversation is refused first."""
    taken, refused = 0, len(call.messages)
    while refused - taken > 1:
        middle = (taken + refused) // 2
        if await is_taken(replace(call, messages=call.messages[:middle])):
            taken = middle
        else:
            refused = middle
    return refused - 1
