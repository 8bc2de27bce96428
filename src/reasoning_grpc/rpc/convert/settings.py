"""Converts settings that took effect otherwise than requested."""

from reasoning_grpc.domain import EffectiveSetting
from reasoning_grpc.rpc.convert import enums
from reasoning_grpc.v1 import completion_pb2


def effective_setting(setting: EffectiveSetting) -> completion_pb2.EffectiveSetting:
    """Returns the requested value, the effective one, and why they differ."""
    return completion_pb2.EffectiveSetting(
        field=setting.field,
        requested=setting.requested,
        effective=setting.effective,
        cause=enums.EFFECTIVE_SETTING_CAUSE.to_proto[setting.cause],
        reason=setting.reason,
    )
