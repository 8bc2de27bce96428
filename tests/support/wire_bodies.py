"""What leaves for a provider: the body of a request, the settings that are reported, or the fields that are refused."""

from typing import Any

import grpc
import pytest

from reasoning_grpc.client import CallFailed
from reasoning_grpc.v1.completion_pb2 import CompleteRequest, EffectiveSetting, EffectiveSettingCause
from tests.support.serving import RunningServer
from tests.support.upstream import FakeUpstream

Json = dict[str, Any]
Setting = tuple[str, str, str]
"""Field, requested value and effective value of a setting that the provider takes otherwise."""


async def capture_body(
    upstream: FakeUpstream, server: RunningServer, request: CompleteRequest
) -> tuple[Json, list[Setting]]:
    """Returns the body that the upstream gets, without its model and its streaming flag, and the reported settings."""
    upstream.requests.clear()
    answer = await server.client().complete(request)
    (captured,) = upstream.requests
    body = {name: value for name, value in captured.body.items() if name not in {"model", "stream"}}
    return body, list(map(_describe_setting, answer.effective_settings))


async def find_refused_fields(upstream: FakeUpstream, server: RunningServer, request: CompleteRequest) -> list[str]:
    """Returns the fields for which a request is refused before any upstream sees it."""
    upstream.requests.clear()
    with pytest.raises(CallFailed) as failed:
        await server.client().complete(request)
    error = failed.value
    assert (error.code, error.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "UNSUPPORTED_PARAMETER")
    assert error.interruption is None
    assert upstream.requests == []
    return [violation.field for violation in error.violations]


def _describe_setting(setting: EffectiveSetting) -> Setting:
    assert setting.cause == EffectiveSettingCause.EFFECTIVE_SETTING_CAUSE_PROVIDER_LIMIT
    assert setting.reason
    return setting.field, setting.requested, setting.effective
