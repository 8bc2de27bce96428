"""Reads from what litellm lists of a model which reasoning efforts the model takes.

litellm's own reading of these members is in `litellm.router_utils.reasoning_effort_capability`; a test compares them.
"""

from collections.abc import Mapping
from typing import Any, Final

from reasoning_grpc.domain import ReasoningEffort

_LEVELS: Final = "reasoning_effort_levels"
_FLAGS: Final[Mapping[ReasoningEffort, str]] = {
    ReasoningEffort.NONE: "supports_none_reasoning_effort",
    ReasoningEffort.MINIMAL: "supports_minimal_reasoning_effort",
    ReasoningEffort.LOW: "supports_low_reasoning_effort",
    ReasoningEffort.XHIGH: "supports_xhigh_reasoning_effort",
    ReasoningEffort.MAX: "supports_max_reasoning_effort",
}
_ALWAYS: Final = frozenset({ReasoningEffort.MEDIUM, ReasoningEffort.HIGH})
"""The efforts without a flag: a model with any flag takes them."""
_WHERE_LISTED: Final = frozenset({ReasoningEffort.XHIGH, ReasoningEffort.MAX})
"""The efforts that a model takes only where its flag is true; the others it takes unless their flag is false."""


def read_efforts(members: Mapping[str, Any], twin: Mapping[str, Any]) -> frozenset[ReasoningEffort] | None:
    """Returns the efforts that a model takes; None where litellm does not say it.

    `twin` has the members of the model of the same name without the provider's prefix, whose flags count where the
    model has none of its own. NONE alone means that the model does not reason; without any effort, it takes no amount.
    """
    if members.get("supports_reasoning") is False:
        return frozenset({ReasoningEffort.NONE})
    flags = {effort: _read_flag(flag, members, twin) for effort, flag in _FLAGS.items()}
    has_flags = any(flag is not None for flag in flags.values())
    if members.get("supports_reasoning") is not True and not has_flags:
        return frozenset()
    levels = members.get(_LEVELS) if members.get(_LEVELS) is not None else twin.get(_LEVELS)
    if isinstance(levels, list):
        return frozenset(effort for effort in ReasoningEffort if effort.value.lower() in levels)
    if not has_flags:
        return None
    listed = _WHERE_LISTED
    if members.get("litellm_provider") == "azure":
        listed = listed | {ReasoningEffort.NONE}
    return _ALWAYS | {
        effort for effort, flag in flags.items() if flag is True or (flag is None and effort not in listed)
    }


def _read_flag(flag: str, members: Mapping[str, Any], twin: Mapping[str, Any]) -> bool | None:
    value = members.get(flag) if members.get(flag) is not None else twin.get(flag)
    return value if isinstance(value, bool) else None
