"""Which fields of a request are refused before any upstream sees it."""

import grpc
import pytest

from reasoning_grpc.client import CallFailed, FieldViolation
from reasoning_grpc.v1.completion_pb2 import REASONING_EFFORT_LOW, ReasoningOptions, Sampling
from tests.support.captured_body import Json
from tests.support.factories import a_wire_request
from tests.support.serving import RunningServer, config_for, model_entry, serving
from tests.support.upstream import FakeUpstream


@pytest.mark.parametrize(
    ("litellm_model", "fields", "field"),
    [
        pytest.param("openai/gpt-5-mini", {"sampling": Sampling(temperature=0)}, "sampling.temperature", id="value"),
        pytest.param(
            "openai/gpt-5-mini", {"sampling": Sampling(stop_sequences=["a"])}, "sampling.stop_sequences", id="parameter"
        ),
        pytest.param(
            "openai/gpt-4",
            {"reasoning": ReasoningOptions(effort=REASONING_EFFORT_LOW)},
            "reasoning.effort",
            id="effort",
        ),
    ],
)
async def test_what_litellm_knows_a_model_not_to_take(
    upstream: FakeUpstream, litellm_model: str, fields: Json, field: str
) -> None:
    """A parameter, or a value, that litellm refuses for a known model is named, and nothing is sent."""
    entry = model_entry(upstream.api_base, litellm_model=litellm_model)

    async with serving(config_for(entry)) as running:
        with pytest.raises(CallFailed) as failed:
            await running.client().complete(a_wire_request(**fields))

    assert (failed.value.code, failed.value.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "UNSUPPORTED_PARAMETER")
    assert failed.value.violations == (FieldViolation(field, "The model does not take it."),)
    assert upstream.requests == []


async def test_a_provider_option_that_the_entry_does_not_list(
    upstream: FakeUpstream, prefix_server: RunningServer
) -> None:
    """An option that the entry does not list is refused by name, and nothing is sent."""
    with pytest.raises(CallFailed) as failed:
        await prefix_server.client().complete(a_wire_request(provider_options={"min_p": "0.1", "api_key": '"sk-mine"'}))

    assert (failed.value.code, failed.value.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "UNSUPPORTED_PARAMETER")
    assert failed.value.violations == (
        FieldViolation("provider_options[api_key]", "The entry of openai does not allow it."),
    )
    assert upstream.requests == []
