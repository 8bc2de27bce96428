"""litellm's price map: the entry of a name, what is read of it, and that litellm is not imported for it."""

import json
import logging
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest
from msgspec.structs import replace

from reasoning_grpc.domain import Capability, Prices, PriceTier, ReasoningEffort
from reasoning_grpc.litellm_model import PriceMap, find_listed_name, find_price_map, library
from reasoning_grpc.litellm_model.prices.model_facts import ModelFacts, read_facts

GPT: Final = {
    "litellm_provider": "openai",
    "mode": "chat",
    "max_tokens": 16384,
    "max_input_tokens": 128000,
    "max_output_tokens": 16384,
    "input_cost_per_token": 2.5e-06,
    "input_cost_per_token_batches": 1.25e-06,
    "input_cost_per_token_priority": 4.25e-06,
    "output_cost_per_token": 1e-05,
    "cache_read_input_token_cost": 1.25e-06,
    "supports_function_calling": True,
    "supports_vision": True,
    "supports_reasoning": False,
}
"""A part of what litellm 1.106.2 lists of gpt-4o."""


def a_map(tmp_path: Path, **entries: Any) -> PriceMap:
    """Returns a map of these entries."""
    file = tmp_path / "map.json"
    file.write_text(json.dumps(entries))
    return PriceMap(file)


def test_an_entry_is_read() -> None:
    """Limits, prices and flags of an entry are read; batch and priority prices are not."""
    assert read_facts(GPT) == ModelFacts(
        provider="openai",
        capabilities=frozenset({Capability.TOOLS, Capability.IMAGE_INPUT}),
        missing_capabilities=frozenset({Capability.REASONING}),
        efforts=frozenset({ReasoningEffort.NONE}),
        context_window_tokens=128_000,
        max_output_tokens=16_384,
        prices=Prices(input=2_500_000_000, output=10_000_000_000, cached_input=1_250_000_000),
    )


BASE: Final = {"input_cost_per_token": 1e-06, "output_cost_per_token": 2e-06}
BASE_PRICES: Final = Prices(input=10**9, output=2 * 10**9)
LONG: Final = "input_cost_per_token_above_200k_tokens"
LONGER: Final = "output_cost_per_token_above_272k_tokens"
ROWS: Final = [
    {"range": [256e3, 1e6], "input_cost_per_token": 3e-06, "output_cost_per_token": 4e-06},
    {"range": [0, 256e3], **BASE, "cache_read_input_token_cost": 5e-07, "output_cost_per_reasoning_token": 9e-06},
]


def make_tier(above_input_tokens: int, **prices: int) -> PriceTier:
    """Returns a tier with the base prices, some of them changed."""
    return PriceTier(above_input_tokens=above_input_tokens, **({"input": 10**9, "output": 2 * 10**9} | prices))


NO_TABLES: Final[tuple[Any, ...]] = (
    5,
    "x",
    {"range": [0, 1]},
    [5],
    [{}],
    [{"range": None}],
    [{"range": [0]}],
    [{"range": ["0", "1"]}],
    [{"range": [-5, 10]}],
    [{"range": [5, 10], **BASE}],
    [{"range": [0, 10], **BASE}, {"range": [0, 20], **BASE}],
    [{"range": [0, 10], **BASE}, {"range": "x", **BASE}],
)
PRICED: Final[dict[str, tuple[dict[str, Any], Prices]]] = {
    "reasoning apart": (
        {"output_cost_per_reasoning_token": 3e-06},
        Prices(input=10**9, output=2 * 10**9, reasoning=3 * 10**9),
    ),
    "reasoning like output": ({"output_cost_per_reasoning_token": 2e-06}, BASE_PRICES),
    "sound apart": (
        {"input_cost_per_audio_token": 3e-06},
        Prices(input=10**9, output=2 * 10**9, audio_input=3 * 10**9),
    ),
    "sound like input": ({"input_cost_per_audio_token": 1e-06}, BASE_PRICES),
    "images for output are none": ({"output_cost_per_image_token": 3e-05}, BASE_PRICES),
    "the longer cache": (
        {
            "cache_creation_input_token_cost_above_1hr": 9e-06,
            "cache_creation_input_token_cost_above_1hr_above_200k_tokens": 1.2e-05,
        },
        Prices(input=10**9, output=2 * 10**9, long_cache_write=9 * 10**9).add_tiers(
            {200_000: {"long_cache_write": 12 * 10**9}}
        ),
    ),
    "the longer cache of a tier without its price": (
        {"cache_creation_input_token_cost_above_1hr": 9e-06, LONG: 3e-06},
        Prices(input=10**9, output=2 * 10**9, long_cache_write=9 * 10**9).add_tiers(
            {200_000: {"input": 3 * 10**9, "long_cache_write": None}}
        ),
    ),
    "other ways to be served": (
        {f"{LONG}_priority": 1e-05, f"{LONG}_batches": 1e-07, "input_cost_per_token_flex": 0},
        BASE_PRICES,
    ),
    "a tier": ({LONG: 3e-06}, BASE_PRICES.add_tiers({200_000: {"input": 3 * 10**9}})),
    "a tier without k": (
        {"input_cost_per_token_above_128_tokens": 3e-06},
        BASE_PRICES.add_tiers({128: {"input": 3 * 10**9}}),
    ),
    "two tiers": (
        {LONGER: 5e-06, LONG: 3e-06, "input_cost_per_token_above_272k_tokens": None},
        Prices(
            input=10**9,
            output=2 * 10**9,
            tiers=(make_tier(200_000, input=3 * 10**9), make_tier(272_000, input=3 * 10**9, output=5 * 10**9)),
        ),
    ),
    "a tier of another type": (
        {LONG: "3e-06", "output_cost_per_token_above_200k_tokens": 3e-06},
        Prices(input=10**9, output=2 * 10**9, tiers=(PriceTier(above_input_tokens=200_000),)),
    ),
    "a tier that begins at its length": (
        {LONG: 3e-06, "litellm_provider": "xai"},
        BASE_PRICES.add_tiers({199_999: {"input": 3 * 10**9}}),
    ),
    "half for what is cached": (
        {"litellm_provider": "fireworks_ai"},
        Prices(input=10**9, output=2 * 10**9, cached_input=5 * 10**8),
    ),
    "a table": (
        {"tiered_pricing": ROWS},
        Prices(
            input=10**9,
            output=2 * 10**9,
            cached_input=5 * 10**8,
            reasoning=9 * 10**9,
            tiers=(PriceTier(above_input_tokens=256_000, input=3 * 10**9, output=4 * 10**9),),
        ),
    ),
    "a table without output": (
        {"tiered_pricing": [{"range": [0, 1000], "input_cost_per_token": 5e-06}]},
        Prices(input=5 * 10**9, output=2 * 10**9),
    ),
    "an empty table": ({"tiered_pricing": []}, BASE_PRICES),
    **{f"no table {number}": ({"tiered_pricing": table}, Prices()) for number, table in enumerate(NO_TABLES)},
    "the hour": ({"off_peak_pricing": {"hours_utc": "00:00-01:00"}}, Prices()),
    "the region": ({"regional_endpoint_uplift_multiplier": 1.1}, Prices()),
    "a fee": ({"input_cost_per_request": 0.005}, Prices()),
    "no fee": ({"input_cost_per_request": 0, "citation_cost_per_token": None}, BASE_PRICES),
    "a price of citations": ({"citation_cost_per_token": 2e-06}, Prices()),
    "a search on demand": (
        {"search_context_cost_per_query": {"search_context_size_low": 0.01}, "key": "gpt-5"},
        BASE_PRICES,
    ),
    "a search every time": (
        {"search_context_cost_per_query": {"search_context_size_low": 0.01}, "key": "gpt-4o-search-preview"},
        Prices(),
    ),
    "a provider that searches": (
        {"search_context_cost_per_query": {"search_context_size_low": 0.01}, "litellm_provider": "perplexity"},
        Prices(),
    ),
    "seconds instead": (
        {"input_cost_per_token": 0, "output_cost_per_token": 0, "input_cost_per_second": 0.01},
        Prices(),
    ),
    "characters instead": (
        {"input_cost_per_token": None, "output_cost_per_token": None, "input_cost_per_character": 1e-06},
        Prices(),
    ),
    "seconds besides": ({"output_cost_per_second": 0.01}, BASE_PRICES),
    "numbers without sense": (
        {"input_cost_per_token": 10**400, "output_cost_per_token": 1e300, "max_input_tokens": 10**400},
        Prices(),
    ),
}


@pytest.mark.parametrize(("members", "prices"), PRICED.values(), ids=PRICED)
def test_prices_are_read(members: dict[str, Any], prices: Prices) -> None:
    """Tiers and other price schemes are read; prices beyond tokens, or in an unknown form, are unknown."""
    assert read_facts({**BASE, **members}).prices == prices


ODD: Final[tuple[Any, ...]] = (None, True, -1, "x", "", [], {}, [[]], 1e300, 0.5)
MEMBERS: Final = sorted(
    GPT.keys()
    | {LONG, "tiered_pricing", "off_peak_pricing", "search_context_cost_per_query", "key", "supports_pdf_input"}
    | {"output_cost_per_reasoning_token", "input_cost_per_audio_token", "input_cost_per_request"}
)


@pytest.mark.parametrize("member", MEMBERS)
def test_a_member_may_have_any_value(member: str, tmp_path: Path) -> None:
    """The file of a newer litellm is read as far as we can read it, whatever the value of a member."""
    for value in ODD:
        facts = a_map(tmp_path, **{"gpt-4o": GPT | {member: value}}).find_facts("openai/gpt-4o")
        assert facts is None or isinstance(facts, ModelFacts)
    without = {name: value for name, value in GPT.items() if name != member}
    facts = a_map(tmp_path, **{"gpt-4o": without}).find_facts("openai/gpt-4o")
    assert (facts is None) == (member == "litellm_provider")


@pytest.mark.parametrize("entry", [None, 1, "x", [], [{}], {}, {"litellm_provider": None}, {"litellm_provider": 1}])
def test_an_entry_may_have_any_value(entry: Any, tmp_path: Path) -> None:
    """A value that is no entry is not listed, and the other entries still are."""
    listed = a_map(tmp_path, **{"gpt-4o": entry, "gpt-5": GPT})

    assert listed.find_facts("openai/gpt-4o") is None
    assert listed.find_facts("openai/gpt-5") == replace(read_facts(GPT), encoding="o200k_base")


@pytest.mark.parametrize("content", [None, "", "{", "[]", "null", "5", '{"a": ', "[" * 100_000])
def test_a_file_that_is_no_map_lists_nothing(
    content: str | None, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A file that cannot be read lists nothing; one line in the log reports it, and no call fails."""
    file = tmp_path / "map.json"
    if content is not None:
        file.write_text(content)
    nothing = PriceMap(file)

    with caplog.at_level(logging.WARNING, "reasoning_grpc.prices"):
        found = [nothing.find_facts(model) for model in ("openai/gpt-4o", "openai/gpt-5")]

    assert found == [None, None]
    assert not nothing.is_known
    assert [record.message.partition(":")[0] for record in caplog.records] == ["litellm's price map cannot be read"]


def test_without_the_package_nothing_is_listed() -> None:
    """Without a file, nothing is listed."""
    assert PriceMap(None).find_facts("openai/gpt-4o") is None


@pytest.mark.parametrize(
    ("costs", "prices"),
    [
        ({"input_cost_per_token": 0, "output_cost_per_token": 0.0}, Prices(cached_input=1_250_000_000)),
        ({"output_cost_per_token": 0}, Prices(input=2_500_000_000, cached_input=1_250_000_000)),
        ({"cache_read_input_token_cost": 0}, Prices(input=2_500_000_000, output=10_000_000_000, cached_input=0)),
    ],
    ids=["both", "output", "cached"],
)
def test_a_listed_price_of_zero_is_not_known(costs: dict[str, Any], prices: Prices, tmp_path: Path) -> None:
    """A listed price of 0 is unknown, because it may mean a price by the hour or by licence.

    Only cached input may be free.
    """
    facts = a_map(tmp_path, **{"gpt-4o": GPT | costs}).find_facts("openai/gpt-4o")

    assert facts is not None
    assert facts.prices == prices


SAME_AS_LITELLM: Final = (
    "openai/gpt-4o",
    "openai/gpt-4o-2024-05-13",
    "openai/GPT-4o",
    "openai/gpt-5",
    "openai/ft:gpt-4o-2024-08-06:org::id",
    "openai/ft:gpt-4o-2024-08-06:org:suffix:id",
    "openai/claude-sonnet-4-5",
    "openai/unknown",
    "openai/sample_spec",
    "openai/us/gpt-4o",
    "openai/gpt-3.5-turbo-instruct",
    "anthropic/claude-sonnet-4-5",
    "anthropic/claude-sonnet-4-5-20250929",
    "azure/gpt-4o",
    "azure/eu/gpt-4o-2024-08-06",
    "bedrock/anthropic.claude-3-5-sonnet-20241022-v2:0",
    "bedrock/us.anthropic.claude-sonnet-4-5-20250929-v1:0",
    "deepinfra/meta-llama/Llama-3.3-70B-Instruct",
    "deepinfra/meta-llama/llama-3.3-70b-instruct",
    "deepseek/deepseek-chat",
    "gemini/gemini-2.5-pro",
    "mistral/mistral-large-latest",
    "together_ai/Qwen/Qwen2.5-72B-Instruct-Turbo",
    "vertex_ai/gemini-2.5-pro",
    "fireworks_ai/accounts/fireworks/models/deepseek-v3",
    "custom_openai/gpt-4o",
)
OTHERWISE_THAN_LITELLM: Final = {
    "openai/gpt-4o-2099-01-01": "another version may have another price, as the one of 2024-05-13 has",
    "openai/openai/gpt-4o": "no such name is known at OpenAI",
    "openai/text-embedding-3-small": "it does not chat",
    "gemini/gemini-2.5-flash-001": "another version may have another price",
    "bedrock/us-gov-west-1/anthropic.claude-3-5-sonnet-20240620-v1:0": "the price is that of another region",
    "azure_ai/gpt-4o": "the price is OpenAI's",
    "github/gpt-4o": "the price is OpenAI's",
    "litellm_proxy/gpt-4o": "what a proxy calls so is its operator's",
    "fireworks_ai/deepseek-v3": "litellm completes the name",
}


def find_litellm_info(model: str) -> dict[str, Any] | None:
    """Returns what litellm finds of a model by its name; None when it finds nothing."""
    prefix, _, name = model.partition("/")
    try:
        info: dict[str, Any] = library.import_litellm().get_model_info(name, custom_llm_provider=prefix)
    except Exception as exc:
        if "isn't mapped yet" not in str(exc):
            raise
        return None
    return info


@pytest.mark.parametrize("model", SAME_AS_LITELLM)
def test_a_name_has_the_entry_that_litellm_gives_it(model: str) -> None:
    """A name has the same limits and prices as in litellm, or is found by neither."""
    info, facts = find_litellm_info(model), find_price_map().find_facts(model)

    if info is None:
        assert facts is None
        return
    assert facts is not None
    expected = read_facts(info)
    assert (facts.provider, facts.prices) == (expected.provider, expected.prices)
    assert facts.prices.input is not None
    assert (facts.context_window_tokens, facts.max_output_tokens) == (
        expected.context_window_tokens,
        expected.max_output_tokens,
    )


@pytest.mark.parametrize("model", OTHERWISE_THAN_LITELLM, ids=OTHERWISE_THAN_LITELLM.values())
def test_a_name_that_litellm_guesses_is_not_listed(model: str) -> None:
    """A name for which litellm takes the entry of another name is not listed."""
    assert find_litellm_info(model) is not None
    assert find_price_map().find_facts(model) is None


@pytest.mark.parametrize(
    ("litellm_model", "api_base", "listed"),
    [
        ("openai/gpt-4o", "", True),
        ("openai/gpt-4o", "https://api.openai.com/v1", True),
        ("openai/gpt-4o", "https://API.openai.com/v1/", True),
        ("openai/gpt-4o", "https://eu.api.openai.com/v1", False),
        ("openai/gpt-4o", "http://127.0.0.1:8000/v1", False),
        ("openai/gpt-4o", "https://api.openai.com.example.com/v1", False),
        ("openai/gpt-4o", "https://example.com/api.openai.com/v1", False),
        ("anthropic/claude-sonnet-4-5", "", True),
        ("anthropic/claude-sonnet-4-5", "https://api.anthropic.com", True),
        ("anthropic/claude-sonnet-4-5", "https://example.com", False),
        ("deepinfra/meta-llama/Llama-3.3-70B-Instruct", "https://api.deepinfra.com/v1/openai", True),
        ("together_ai/Qwen/Qwen2.5-72B-Instruct-Turbo", "https://example.com", False),
        ("azure/gpt-4o", "https://mine.openai.azure.com", False),
        ("azure/gpt-4o", "", False),
        ("litellm_proxy/gpt-4o", "http://127.0.0.1:4000/v1", False),
        ("custom_openai/gpt-4o", "http://127.0.0.1:8000/v1", False),
    ],
)
def test_only_the_providers_own_server_has_its_prices(litellm_model: str, api_base: str, listed: bool) -> None:
    """Listed prices hold only for the provider's own server: any other server or deployment may use the same name."""
    assert find_listed_name(litellm_model, api_base) == (litellm_model if listed else "")


@pytest.mark.process
def test_litellm_is_not_imported() -> None:
    """`check-config` and the table of models do not import litellm, which would take seconds."""
    program = (
        "import sys\n"
        "from reasoning_grpc.litellm_model import find_price_map\n"
        "assert find_price_map().find_facts('openai/gpt-4o').prices.input\n"
        "assert not [name for name in sys.modules if name.partition('.')[0] == 'litellm']\n"
    )

    subprocess.run([sys.executable, "-c", program], check=True, timeout=200)
