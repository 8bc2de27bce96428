"""Pairs of our enums and the enums of the protos, whose values have the same names."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final, Generic, TypeVar

from reasoning_grpc import domain as types
from reasoning_grpc.v1 import (
    agent_pb2,
    completion_pb2,
    errors_pb2,
    messages_pb2,
    models_pb2,
    orchestration_pb2,
    routing_pb2,
    usage_pb2,
)

E = TypeVar("E", bound=StrEnum)


class EnumPair(Generic[E]):
    """One of our enums and its counterpart in the protos, whose values carry a prefix.

    The generated stubs give each enum an integer type of its own; here these types are all Any.
    """

    def __init__(self, ours: type[E], theirs: Any, prefix: str) -> None:
        self.to_proto: Final[Mapping[E, Any]] = {member: theirs.Value(f"{prefix}_{member.value}") for member in ours}
        self.from_proto: Final[Mapping[int, E]] = {number: member for member, number in self.to_proto.items()}


ROLE: Final = EnumPair(types.Role, messages_pb2.Role, "ROLE")
TOOL_CHOICE_MODE: Final = EnumPair(types.ToolChoiceMode, completion_pb2.ToolChoiceMode, "TOOL_CHOICE_MODE")
REASONING_EFFORT: Final = EnumPair(types.ReasoningEffort, completion_pb2.ReasoningEffort, "REASONING_EFFORT")
CONTEXT_POLICY: Final = EnumPair(types.ContextPolicy, completion_pb2.ContextPolicy, "CONTEXT_POLICY")
ROUTING_MODE: Final = EnumPair(types.RoutingMode, routing_pb2.RoutingMode, "ROUTING_MODE")
ROUTING_PREFERENCE: Final = EnumPair(types.RoutingPreference, routing_pb2.RoutingPreference, "ROUTING_PREFERENCE")
ROUTE_SOURCE: Final = EnumPair(types.RouteSource, routing_pb2.RouteSource, "ROUTE_SOURCE")
FINISH_REASON: Final = EnumPair(types.FinishReason, completion_pb2.FinishReason, "FINISH_REASON")
ANSWER_FLAW: Final = EnumPair(types.AnswerFlaw, errors_pb2.AnswerFlaw, "ANSWER_FLAW")
NEXT_ACTION: Final = EnumPair(types.NextAction, agent_pb2.NextAction, "NEXT_ACTION")
STEP_OUTCOME: Final = EnumPair(types.StepOutcome, agent_pb2.StepOutcome, "STEP_OUTCOME")
TOOL_STATUS: Final = EnumPair(types.ToolStatus, agent_pb2.ToolStatus, "TOOL_STATUS")
REASONING_END: Final = EnumPair(types.ReasoningEnd, agent_pb2.ReasoningEnd, "REASONING_END")
USAGE_SOURCE: Final = EnumPair(types.UsageSource, usage_pb2.UsageSource, "USAGE_SOURCE")
TOKEN_KIND: Final = EnumPair(types.TokenKind, usage_pb2.TokenKind, "TOKEN_KIND")
MODEL_CALL_PURPOSE: Final = EnumPair(types.ModelCallPurpose, usage_pb2.ModelCallPurpose, "MODEL_CALL_PURPOSE")
TASK_OUTCOME: Final = EnumPair(types.TaskOutcome, orchestration_pb2.TaskOutcome, "TASK_OUTCOME")
MODEL_SOURCE_KIND: Final = EnumPair(types.ModelSourceKind, models_pb2.ModelSourceKind, "MODEL_SOURCE_KIND")
MODEL_STATE: Final = EnumPair(types.ModelState, models_pb2.ModelState, "MODEL_STATE")
MODEL_CAPABILITY: Final = EnumPair(types.Capability, models_pb2.ModelCapability, "MODEL_CAPABILITY")

EFFECTIVE_SETTING_CAUSE: Final = EnumPair(
    types.EffectiveSettingCause, completion_pb2.EffectiveSettingCause, "EFFECTIVE_SETTING_CAUSE"
)
ROUTE_CHANGE_CAUSE: Final = EnumPair(types.RouteChangeCause, orchestration_pb2.RouteChangeCause, "ROUTE_CHANGE_CAUSE")
ROUTE_REJECTION_CAUSE: Final = EnumPair(
    types.RouteRejectionCause, routing_pb2.RouteRejectionCause, "ROUTE_REJECTION_CAUSE"
)

REASON_PREFIX: Final = "ERROR_REASON_"
_REASONS: Final[Mapping[str, Any]] = {
    name.removeprefix(REASON_PREFIX): number for name, number in errors_pb2.ErrorReason.items()
}


def error_reason(reason: str) -> Any:
    """Returns the enum value of a reason; 0, unspecified, for one that has none, such as a cancellation."""
    return _REASONS.get(reason, 0)
