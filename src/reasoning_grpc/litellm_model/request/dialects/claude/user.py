"""The end user in calls of Anthropic's models."""

import re
from typing import Final

from msgspec.structs import replace

from reasoning_grpc.domain import EffectiveSetting, EffectiveSettingCause
from reasoning_grpc.llm import ModelCall

_PERSONAL: Final = re.compile(r"[\w.%+-]+@[\w.-]+\.[a-zA-Z]{2,}|\+?[\d\s()-]{7,}", re.ASCII)
"""E-mail addresses and telephone numbers, as litellm recognizes them."""


def leave_out_personal_user(call: ModelCall, _model: str) -> tuple[ModelCall, EffectiveSetting | None]:
    """Leaves out an end user whose name is an address or a number, which litellm leaves out in silence."""
    if not _PERSONAL.match(call.end_user):
        return call, None
    setting = EffectiveSetting(
        "end_user",
        call.end_user,
        "",
        EffectiveSettingCause.PROVIDER_LIMIT,
        "The provider takes no e-mail addresses and no telephone numbers for the end user.",
    )
    return replace(call, end_user=""), setting
