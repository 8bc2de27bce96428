"""Parameters and models that the server does not support are refused before an upstream is called."""

from typing import Any, Final

import grpc
import pytest

from reasoning_grpc.v1 import classification_pb2
from tests.support.bad_requests import ExpectRefusal, violations
from tests.support.factories import a_stream_request, a_wire_request
from tests.support.serving import config_for, model_entry, serving
from tests.support.upstream import FakeUpstream
from tests.support.wire_calls import expect_failure

UNSUPPORTED: Final = "The request has parameters that are not supported; see the field violations."


async def test_provider_options_outside_the_whitelist_are_unsupported(upstream: FakeUpstream) -> None:
    """A provider option that the entry of the model does not allow is refused, and a violation names each."""
    entry = model_entry(upstream.api_base, provider_options=frozenset({"top_a"}))
    options = {"top_a": "0.5", "api_base": '"http://evil"', "extra_headers": "{}"}

    async with serving(config_for(entry)) as running:
        failed = await expect_failure(running.stub.Complete(a_wire_request(provider_options=options)))

    assert failed.code == grpc.StatusCode.INVALID_ARGUMENT
    assert failed.reason == "UNSUPPORTED_PARAMETER"
    assert failed.violations == violations(
        ("provider_options[api_base]", "The entry of fake does not allow it."),
        ("provider_options[extra_headers]", "The entry of fake does not allow it."),
    )
    assert upstream.connections == 0


UNKNOWN_MODELS = [
    pytest.param("../x", {}, id="path"),
    pytest.param("azure/x", {}, id="another provider"),
    pytest.param("openai/fake", {"nearest": "fake"}, id="litellm's own name"),
    pytest.param("http://127.0.0.1:1/v1", {}, id="URL"),
    pytest.param("fak", {"nearest": "fake"}, id="a slip"),
    pytest.param("{model}{0}", {}, id="a format"),
    pytest.param("\U0001f600" * 128, {}, id="128 smileys"),
]


@pytest.mark.parametrize(("model", "nearest"), UNKNOWN_MODELS)
@pytest.mark.parametrize("field", ["model", "fallback_models"])
async def test_an_unknown_model_is_not_found(
    expect_refusal: ExpectRefusal, field: str, model: str, nearest: dict[str, str]
) -> None:
    """A model or fallback model that is not in the server's table is refused with MODEL_NOT_FOUND."""
    failed = await expect_refusal(
        a_wire_request(**({"model": model} if field == "model" else {"fallback_models": [model]}))
    )

    assert failed.code == grpc.StatusCode.NOT_FOUND
    assert failed.reason == "MODEL_NOT_FOUND"
    names = f" The nearest names are: {nearest['nearest']}." if nearest else ""
    assert failed.message == f'There is no model "{model}".{names}'
    assert failed.metadata == {"model": model} | nearest
    assert failed.violations == ()


async def test_an_unknown_name_is_printed_safely(expect_refusal: ExpectRefusal) -> None:
    """Characters that are not printable are replaced in the name that an error repeats."""
    failed = await expect_refusal(a_wire_request(fallback_models=["azure\r\nx: y"]))

    assert failed.code == grpc.StatusCode.NOT_FOUND
    assert failed.message == 'There is no model "azure??x: y".'
    assert failed.metadata == {"model": "azure??x: y"}


async def test_every_method_refuses_unknown_models(upstream: FakeUpstream, stub: Any) -> None:
    """`StreamComplete` and `Classify` refuse the models that `Complete` refuses."""
    classify = classification_pb2.ClassifyRequest(request=a_wire_request(model="azure/x"))

    for call in (stub.StreamComplete(a_stream_request(model="azure/x")).read(), stub.Classify(classify)):
        failed = await expect_failure(call)

        assert failed.code == grpc.StatusCode.NOT_FOUND
        assert failed.reason == "MODEL_NOT_FOUND"
        assert failed.metadata == {"model": "azure/x"}
    assert upstream.connections == 0


async def test_the_nearest_names_come_nearest_first(upstream: FakeUpstream) -> None:
    """The error for an unknown model has up to three similar names, the most similar first."""
    names = ("gpt-4o-mini", "gpt-4o", "gpt-4.1", "gpt-4.1-nano", "claude")

    async with serving(config_for(*(model_entry(upstream.api_base, name) for name in names))) as running:
        failed = await expect_failure(running.stub.Complete(a_wire_request(model="gpt-4")))

    assert failed.metadata == {"model": "gpt-4", "nearest": "gpt-4o, gpt-4.1, gpt-4o-mini"}
