"""`ModelEntry`: a model that requests can name, `[models.NAME]`, and how its table is read."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from msgspec.structs import fields

from reasoning_grpc.config.table_reader import TableReader, find_url_problem, read_secret
from reasoning_grpc.domain import Capability, Prices, Sampling, Secret, ThinkTags, TokenPrices, Wire

MODEL_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@-]{0,127}")
MODEL_NAME_RULE: Final = "a name is 1 to 128 of letters, digits and . _ : / @ -, a letter or digit first"
_WIRES: Final = {wire.value.lower(): wire for wire in Wire}
LITELLM_PARAMS: Final = (
    "api_version",
    "aws_profile_name",
    "aws_region_name",
    "aws_role_name",
    "aws_session_name",
    "project_id",
    "region_name",
    "vertex_location",
    "vertex_project",
)
"""The arguments of litellm that name a region or an account of a cloud. Keys come from environment variables only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelEntry:
    """A model that requests can name: `[models.NAME]`."""

    name: str
    litellm_model: str
    """litellm's name of the model, the provider's prefix first: "openai/gpt-4o-mini"."""
    untested: bool = False
    """Whether the operator accepts a prefix that the server does not promise."""
    api_base: str = ""
    api_key: Secret = field(default_factory=lambda: Secret(""))
    """The value of the environment variable that `api_key_env` names."""
    base_model: str = ""
    """The model's name in litellm's price map, such as "azure/gpt-4o"; empty: `litellm_model` is that name."""
    wire: Wire | None = None
    """The API of OpenAI's for all calls of the model; None: the model and each call decide."""
    store: bool = False
    """Whether OpenAI may keep the answers that come through its Responses API."""
    description: str = ""
    capabilities: frozenset[Capability] | None = None
    """None: the capabilities in litellm's price map."""
    context_window_tokens: int | None = None
    """None: the limit in litellm's price map."""
    max_output_tokens: int | None = None
    """None: the limit in litellm's price map."""
    prices: Prices = field(default_factory=Prices)
    """All prices of the model. When the entry has none, those in litellm's price map hold."""
    fallback_models: tuple[str, ...] = ()
    provider_options: frozenset[str] = frozenset()
    """The names that a request's `provider_options` may use."""
    native_tools: bool = False
    """Whether the agent uses the provider's own tool calls for its steps, instead of plans in JSON."""
    system_prompt: str = ""
    think_tags: ThinkTags = ThinkTags.NONE
    defaults: Sampling = field(default_factory=Sampling)
    litellm_params: Mapping[str, str] = field(default_factory=dict)
    """Further arguments for litellm, by the names in `LITELLM_PARAMS`."""


def read_model_entry(name: str, table: object, environment: Mapping[str, str], problems: list[str]) -> ModelEntry:
    """Reads the table `[models.NAME]`."""
    reader = TableReader(f"models.{name}", table, problems)
    if not MODEL_NAME.fullmatch(name):
        reader.report("", MODEL_NAME_RULE)
    api_key = read_secret(reader, "api_key_env", environment)
    defaults = reader.read_table("defaults")
    litellm_params = reader.read_table("litellm_params")
    entry = ModelEntry(
        name=name,
        litellm_model=reader.read_text("litellm_model", required=True, find_problem=_find_litellm_model_problem),
        untested=bool(reader.read_bool("untested")),
        api_base=reader.read_text("api_base", find_problem=_find_api_base_problem),
        api_key=api_key or Secret(""),
        base_model=reader.read_text("base_model", find_problem=_find_litellm_model_problem),
        wire=_read_wire(reader),
        store=bool(reader.read_bool("store")),
        description=reader.read_text("description"),
        capabilities=_read_capabilities(reader),
        context_window_tokens=reader.read_count("context_window_tokens"),
        max_output_tokens=reader.read_count("max_output_tokens"),
        prices=_read_prices(reader),
        fallback_models=reader.read_texts("fallback_models") or (),
        provider_options=frozenset(reader.read_texts("provider_options") or ()),
        native_tools=bool(reader.read_bool("native_tools")),
        system_prompt=reader.read_text("system_prompt"),
        think_tags=_read_think_tags(reader),
        defaults=Sampling(
            temperature=defaults.read_number("temperature", 0, 2),
            top_p=defaults.read_number("top_p", 0, 1),
            top_k=defaults.read_count("top_k"),
            max_output_tokens=defaults.read_count("max_output_tokens"),
        ),
        litellm_params={name: value for name in LITELLM_PARAMS if (value := litellm_params.read_text(name))},
    )
    defaults.report_unknown_keys()
    litellm_params.report_unknown_keys()
    reader.report_unknown_keys()
    return entry


def _read_prices(reader: TableReader) -> Prices:
    """Reads the prices of the entry, with the tiers for long prompts."""
    prices = Prices(**_read_token_prices(reader))
    tiers: dict[int, dict[str, int]] = {}
    for row in reader.read_tables("price_tiers"):
        above = row.read_count("above_input_tokens", required=True)
        if above in tiers:
            row.report("above_input_tokens", "is that of another tier")
        changes = {kind: price for kind, price in _read_token_prices(row).items() if price is not None}
        row.report_unknown_keys()
        tiers[above or 0] = changes
    if tiers and (prices.input is None or prices.output is None):
        reader.report("price_tiers", "needs input_usd_per_million and output_usd_per_million")
    return prices.add_tiers(tiers)


def _read_token_prices(reader: TableReader) -> dict[str, Any]:
    """Reads the prices of a table, by their names in `TokenPrices`; None for a price that the table does not have."""
    return {kind.name: reader.read_price(f"{kind.name}_usd_per_million") for kind in fields(TokenPrices)}


def _find_litellm_model_problem(value: str) -> str:
    prefix, _, name = value.partition("/")
    return "" if prefix and name else 'must be "PROVIDER/MODEL", such as "openai/gpt-4o-mini"'


def _find_api_base_problem(value: str) -> str:
    return find_url_problem(value, "http://127.0.0.1:8000/v1", "api_key_env")


def _find_wire_problem(value: str) -> str:
    return "" if value in _WIRES else 'must be "chat" or "responses"'


def _read_wire(reader: TableReader) -> Wire | None:
    value = reader.read_text("wire", find_problem=_find_wire_problem)
    return _WIRES.get(value)


def _read_think_tags(reader: TableReader) -> ThinkTags:
    match reader.read_bool_or("think_tags", "open"):
        case "open":
            return ThinkTags.OPEN
        case True:
            return ThinkTags.PAIR
        case _:
            return ThinkTags.NONE


def _read_capabilities(reader: TableReader) -> frozenset[Capability] | None:
    names = reader.read_texts("capabilities")
    if names is None:
        return None
    known = {capability.value.lower(): capability for capability in Capability}
    for name in names:
        if name not in known:
            reader.report("capabilities", f"{json.dumps(name)} is none of {', '.join(sorted(known))}")
    return frozenset(known[name] for name in names if name in known)
