"""What a LiteLLM proxy says of its models, in whatever shape, becomes what is told of them; or it is malformed."""

import json
from typing import Any, Final

import pytest

from reasoning_grpc.catalog.proxy_facts import read_info_list, read_plain_list
from reasoning_grpc.domain import Capability, ModelInfo, ModelSourceKind, Prices
from reasoning_grpc.litellm_model.answers import MalformedAnswer

GPT: Final = {
    "id": "8950f9fe57d963f18f00d4e02e11b721812ee83bd840661d2b062df6b520303e",
    "db_model": False,
    "key": "gpt-4o-mini",
    "mode": "chat",
    "litellm_provider": "openai",
    "max_tokens": 16384,
    "max_input_tokens": 128000,
    "max_output_tokens": 16384,
    "input_cost_per_token": 1.5e-07,
    "input_cost_per_token_priority": 2.5e-07,
    "output_cost_per_token": 6e-07,
    "cache_read_input_token_cost": 7.5e-08,
    "cache_creation_input_token_cost": None,
    "supports_function_calling": True,
    "supports_response_schema": True,
    "supports_vision": True,
    "supports_pdf_input": True,
    "supports_audio_input": None,
    "supports_reasoning": False,
    "supported_openai_params": ["temperature", "tools"],
}
"""What LiteLLM 1.106.2 tells of a model that it knows, cut short."""


def a_model(name: str = "m", **facts: Any) -> ModelInfo:
    """What is told of a model."""
    return ModelInfo(**{"name": name, "source": ModelSourceKind.PROXY, "provider": "litellm_proxy", **facts})


def info_answer(*rows: Any) -> bytes:
    """An answer to /model/info."""
    return json.dumps({"data": rows}).encode()


def told(**facts: Any) -> ModelInfo:
    """What becomes of the facts of one model."""
    models = read_info_list(info_answer({"model_name": "m", "litellm_params": {}, "model_info": facts}))
    assert list(models) == ["m"]
    return models["m"]


def test_a_model_that_litellm_knows() -> None:
    """Limits, prices and what it can and cannot do."""
    assert told(**GPT) == a_model(
        provider="openai",
        capabilities=frozenset(
            {
                Capability.TOOLS,
                Capability.JSON_OBJECT,
                Capability.JSON_SCHEMA,
                Capability.IMAGE_INPUT,
                Capability.DOCUMENT_INPUT,
            }
        ),
        lacks=frozenset({Capability.REASONING}),
        context_window_tokens=128_000,
        max_output_tokens=16_384,
        encoding="o200k_base",
        prices=Prices(input=150_000_000, output=600_000_000, cached_input=75_000_000),
    )


def test_a_model_that_litellm_does_not_know() -> None:
    """Of it everything is null, or not there: nothing is known, and nothing is made up."""
    assert told(**dict.fromkeys(GPT)) == a_model()
    assert told() == a_model()


NO_TOKENS: Final[tuple[Any, ...]] = (0, -1, 2**31, 1e300, True, "4096", [], {})
NO_PRICES: Final[tuple[Any, ...]] = (-1e-07, 1.1, True, "1e-7", [], {})
NO_FLAGS: Final[tuple[Any, ...]] = (1, 0, "true", "", [], {})
NO_PROVIDERS: Final[tuple[Any, ...]] = (1, "", "a b", "x" * 65, "\u00e4", {})
MODES: Final[tuple[Any, ...]] = ("chat", "completion", "responses", 1, [])

FACTS = [
    pytest.param({"max_input_tokens": 4096.0}, {"context_window_tokens": 4096}, id="tokens, as LiteLLM's YAML may say"),
    *(
        pytest.param({"max_input_tokens": value, "max_output_tokens": value}, {}, id=f"tokens {value!r}")
        for value in NO_TOKENS
    ),
    pytest.param({"output_cost_per_token": 0}, {"prices": Prices(output=0)}, id="free"),
    pytest.param({"output_cost_per_token": 1e-15}, {"prices": Prices(output=1)}, id="the least price"),
    pytest.param({"output_cost_per_token": 1}, {"prices": Prices(output=10**15)}, id="the highest price"),
    pytest.param({"input_cost_per_token": 1.1e-06}, {"prices": Prices(input=1_100_000_000)}, id="without rounding"),
    pytest.param({"cache_creation_input_token_cost": 2e-06}, {"prices": Prices(cache_write=2 * 10**9)}, id="caching"),
    pytest.param(
        {
            "input_cost_per_token": 1e-06,
            "output_cost_per_token": 2e-06,
            "input_cost_per_token_above_200k_tokens": 3e-06,
            "input_cost_per_token_above_128k_tokens": None,
            "output_cost_per_reasoning_token": None,
        },
        {"prices": Prices(input=10**9, output=2 * 10**9).with_tiers({200_000: {"input": 3 * 10**9}})},
        id="long prompts",
    ),
    *(pytest.param({"input_cost_per_token": value}, {}, id=f"price {value!r}") for value in NO_PRICES),
    *(
        pytest.param({"supports_vision": value, "supports_reasoning": value}, {}, id=f"flag {value!r}")
        for value in NO_FLAGS
    ),
    pytest.param(
        {"supports_audio_input": True, "supports_reasoning": True},
        {"capabilities": frozenset({Capability.AUDIO_INPUT, Capability.REASONING})},
        id="other flags",
    ),
    pytest.param({"supports_response_schema": False}, {"lacks": frozenset({Capability.JSON_SCHEMA})}, id="no schema"),
    pytest.param(
        {"litellm_provider": "vertex_ai-language-models"}, {"provider": "vertex_ai-language-models"}, id="own"
    ),
    *(pytest.param({"litellm_provider": value}, {}, id=f"provider {str(value)[:8]!r}") for value in NO_PROVIDERS),
    *(pytest.param({"mode": value}, {}, id=f"mode {value!r}") for value in MODES),
]


@pytest.mark.parametrize(("facts", "expected"), FACTS)
def test_one_fact(facts: dict[str, Any], expected: dict[str, Any]) -> None:
    """Each is taken when it is what it should be, and is not known otherwise."""
    assert told(**facts) == a_model(**expected)


@pytest.mark.parametrize("model_info", [None, "x", 1, [], [{}]])
def test_facts_of_another_type(model_info: Any) -> None:
    """A model stays, without facts."""
    assert read_info_list(info_answer({"model_name": "m", "model_info": model_info})) == {"m": a_model()}


@pytest.mark.parametrize(
    "row",
    [
        *({"model_name": name} for name in ("*", "openai/*", "", "-x", "a b", "x" * 129, "../x", "\u00e4", "m\r\n")),
        *({"model_name": "x", "model_info": {"mode": mode}} for mode in ("embedding", "image_generation", "rerank")),
        *({"model_name": name} for name in (None, 1, ["x"])),
        {},
        None,
        "x",
        ["x"],
    ],
)
def test_what_nobody_could_call_is_left_out(row: Any) -> None:
    """Wildcards, names that requests cannot have, models that do not chat, and what is no model; others stay."""
    assert read_info_list(info_answer(row, {"model_name": "m"})) == {"m": a_model()}


def test_deployments_of_one_name_are_one_model() -> None:
    """The proxy takes either of them, so that only what holds for all is told."""
    rows = [
        {"model_name": "m", "model_info": GPT},
        {
            "model_name": "m",
            "model_info": GPT
            | {"max_input_tokens": 8192, "max_output_tokens": None, "supports_vision": None, "supports_reasoning": None}
            | {"litellm_provider": "azure", "input_cost_per_token": 1e-07},
        },
    ]

    both = read_info_list(info_answer(*rows))
    twice = read_info_list(info_answer(rows[0], rows[0]))

    assert both == {
        "m": a_model(
            capabilities=frozenset(
                {Capability.TOOLS, Capability.JSON_OBJECT, Capability.JSON_SCHEMA, Capability.DOCUMENT_INPUT}
            ),
            context_window_tokens=8192,
            encoding="o200k_base",
        )
    }
    assert twice == {"m": told(**GPT)}


def test_the_plain_list() -> None:
    """It has names, and in newer versions a mode and limits."""
    rows = [
        {"id": "known", "object": "model", "mode": "chat", "max_input_tokens": 128000, "max_output_tokens": 16384},
        {"id": "unknown", "object": "model", "created": 1677610602, "owned_by": "openai"},
        {"id": "embed", "object": "model", "mode": "embedding", "max_input_tokens": 8191},
        {"object": "model"},
    ]

    assert read_plain_list(info_answer(*rows)) == {
        "known": a_model("known", context_window_tokens=128_000, max_output_tokens=16_384),
        "unknown": a_model("unknown"),
    }


@pytest.mark.parametrize("read", [read_info_list, read_plain_list])
def test_an_empty_list_is_a_list(read: Any) -> None:
    """A proxy may have no models."""
    assert read(b'{"data": []}') == {}


MALFORMED = [
    b"",
    b"<html>",
    b"{}",
    b"[]",
    b"null",
    b'"x"',
    b'{"data": null}',
    b'{"data": {}}',
    b'{"data": "x"}',
    b'{"data": [',
    b'{"data": [1, "x", null]}',
    b'{"data": [{"name": "m"}]}',
    b"\xff",
    b'{"data": ' + b"[" * 100_000,
    b'{"error": {"message": "no"}}',
]


@pytest.mark.parametrize("body", MALFORMED, ids=[str(body[:16]) for body in MALFORMED])
@pytest.mark.parametrize("read", [read_info_list, read_plain_list])
def test_what_is_no_list_is_malformed(read: Any, body: bytes) -> None:
    """Neither is taken for a proxy without models."""
    with pytest.raises(MalformedAnswer):
        read(body)
