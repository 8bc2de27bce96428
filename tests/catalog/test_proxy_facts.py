"""A LiteLLM proxy's lists of models, in whatever shape, are converted to our own facts, or are malformed."""

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
"""The facts that LiteLLM 1.106.2 lists for a model that it knows, shortened."""


def a_model(name: str = "m", **facts: Any) -> ModelInfo:
    """Returns a model of the proxy with these facts."""
    return ModelInfo(**{"name": name, "source": ModelSourceKind.PROXY, "provider": "litellm_proxy", **facts})


def build_answer(*rows: Any) -> bytes:
    """Builds an answer to /model/info."""
    return json.dumps({"data": rows}).encode()


def describe(**facts: Any) -> ModelInfo:
    """Returns the model to which these facts of the proxy are converted."""
    models = read_info_list(build_answer({"model_name": "m", "litellm_params": {}, "model_info": facts}))
    assert list(models) == ["m"]
    return models["m"]


def test_a_known_model_has_all_facts() -> None:
    """A model that LiteLLM knows has limits, prices, capabilities and lacking capabilities."""
    assert describe(**GPT) == a_model(
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
        missing_capabilities=frozenset({Capability.REASONING}),
        context_window_tokens=128_000,
        max_output_tokens=16_384,
        encoding="o200k_base",
        prices=Prices(input=150_000_000, output=600_000_000, cached_input=75_000_000),
    )


def test_an_unknown_model_has_no_facts() -> None:
    """A model whose members are all null or missing has no facts."""
    assert describe(**dict.fromkeys(GPT)) == a_model()
    assert describe() == a_model()


NO_TOKENS: Final[tuple[Any, ...]] = (0, -1, 2**31, 1e300, True, "4096", [], {})
NO_PRICES: Final[tuple[Any, ...]] = (-1e-07, 1.1, True, "1e-7", [], {})
NO_FLAGS: Final[tuple[Any, ...]] = (1, 0, "true", "", [], {})
NO_PROVIDERS: Final[tuple[Any, ...]] = (1, "", "a b", "x" * 65, "\u00e4", {})
MODES: Final[tuple[Any, ...]] = ("chat", "completion", "responses", 1, [])

FACTS = [
    pytest.param({"max_input_tokens": 4096.0}, {"context_window_tokens": 4096}, id="tokens as a float"),
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
        {"prices": Prices(input=10**9, output=2 * 10**9).add_tiers({200_000: {"input": 3 * 10**9}})},
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
    pytest.param(
        {"supports_response_schema": False},
        {"missing_capabilities": frozenset({Capability.JSON_SCHEMA})},
        id="no schema",
    ),
    pytest.param(
        {"litellm_provider": "vertex_ai-language-models"}, {"provider": "vertex_ai-language-models"}, id="own"
    ),
    *(pytest.param({"litellm_provider": value}, {}, id=f"provider {str(value)[:8]!r}") for value in NO_PROVIDERS),
    *(pytest.param({"mode": value}, {}, id=f"mode {value!r}") for value in MODES),
]


@pytest.mark.parametrize(("facts", "expected"), FACTS)
def test_a_fact_of_the_right_type_is_taken(facts: dict[str, Any], expected: dict[str, Any]) -> None:
    """A fact is taken when its type and range are right, and is unknown otherwise."""
    assert describe(**facts) == a_model(**expected)


@pytest.mark.parametrize("model_info", [None, "x", 1, [], [{}]])
def test_facts_of_another_type_are_unknown(model_info: Any) -> None:
    """A model whose facts are not an object is listed without facts."""
    assert read_info_list(build_answer({"model_name": "m", "model_info": model_info})) == {"m": a_model()}


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
def test_models_that_cannot_be_called_are_left_out(row: Any) -> None:
    """Wildcards, invalid names, models that do not chat and rows that are not models are left out; others stay."""
    assert read_info_list(build_answer(row, {"model_name": "m"})) == {"m": a_model()}


def test_deployments_of_one_name_are_one_model() -> None:
    """Several deployments of one name are one model with the facts that hold for all, because the proxy uses any."""
    rows = [
        {"model_name": "m", "model_info": GPT},
        {
            "model_name": "m",
            "model_info": GPT
            | {"max_input_tokens": 8192, "max_output_tokens": None, "supports_vision": None, "supports_reasoning": None}
            | {"litellm_provider": "azure", "input_cost_per_token": 1e-07},
        },
    ]

    both = read_info_list(build_answer(*rows))
    twice = read_info_list(build_answer(rows[0], rows[0]))

    assert both == {
        "m": a_model(
            capabilities=frozenset(
                {Capability.TOOLS, Capability.JSON_OBJECT, Capability.JSON_SCHEMA, Capability.DOCUMENT_INPUT}
            ),
            context_window_tokens=8192,
            encoding="o200k_base",
        )
    }
    assert twice == {"m": describe(**GPT)}


def test_the_plain_list_is_read() -> None:
    """The plain list has names, and in newer versions of LiteLLM a mode and limits."""
    rows = [
        {"id": "known", "object": "model", "mode": "chat", "max_input_tokens": 128000, "max_output_tokens": 16384},
        {"id": "unknown", "object": "model", "created": 1677610602, "owned_by": "openai"},
        {"id": "embed", "object": "model", "mode": "embedding", "max_input_tokens": 8191},
        {"object": "model"},
    ]

    assert read_plain_list(build_answer(*rows)) == {
        "known": a_model("known", context_window_tokens=128_000, max_output_tokens=16_384),
        "unknown": a_model("unknown"),
    }


@pytest.mark.parametrize("read", [read_info_list, read_plain_list])
def test_an_empty_list_is_a_list(read: Any) -> None:
    """A list without models is valid."""
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
def test_an_answer_that_is_not_a_list_is_malformed(read: Any, body: bytes) -> None:
    """An answer that is not a list of models is malformed, not an empty list."""
    with pytest.raises(MalformedAnswer):
        read(body)
