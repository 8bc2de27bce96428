"""Writes settings that took effect otherwise than requested."""

from reasoning_grpc.domain import EffectiveSetting
from reasoning_grpc.rpc.convert import enums
from reasoning_grpc.v1 import completion_pb2


def write_effective_setting(message: completion_pb2.EffectiveSetting, setting: EffectiveSetting) -> None:
    """Writes the requested value, the effective one, and why they differ."""
    message.field = setting.field
    message.requested = setting.requested
    message.effective = setting.effective
    message.cause = enums.EFFECTIVE_SETTING_CAUSE.to_proto[setting.cause]
    message.reason = setting.reason
