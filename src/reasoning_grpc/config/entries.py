"""The tables of the configuration file: models and callers, one entry each."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from decimal import Decimal
from typing import Any, Final, TypeGuard
from urllib.parse import urlsplit

from reasoning_grpc.domain import Capability, Prices, Sampling, Secret, ThinkTags, TokenPrices

MODEL_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@-]{0,127}")
TOKEN_HASH: Final = re.compile(r"sha256:[0-9a-f]{64}")
PROXY_URL_VARIABLE: Final = "LITELLM_BASE_URL"
PROXY_KEY_VARIABLE: Final = "LITELLM_API_KEY"
PROXY_PREFIX: Final = "litellm_proxy/"
"""litellm's prefix for models behind a LiteLLM proxy."""
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
"""Arguments of litellm that name a place or an account of a cloud. Keys are none of them: they come from variables."""
_KEY: Final = re.compile(r"[!-~]+")
_NANO: Final = 1_000_000_000
_MOST_TOKENS: Final = 2**31 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelEntry:
    """A model that requests can name: `[models.NAME]`."""

    name: str
    litellm_model: str
    """litellm's name for it, provider prefix first: "openai/gpt-4o-mini"."""
    api_base: str = ""
    api_key: Secret = field(default_factory=lambda: Secret(""))
    """Read from the environment variable that `api_key_env` names."""
    base_model: str = ""
    """The model of litellm's price map that is served, where `litellm_model` does not say it: "azure/gpt-4o"."""
    description: str = ""
    capabilities: frozenset[Capability] | None = None
    """None: those in litellm's price map; so are the limits."""
    context_window_tokens: int | None = None
    max_output_tokens: int | None = None
    prices: Prices = field(default_factory=Prices)
    """All of them, or none: then those in litellm's price map."""
    fallback_models: tuple[str, ...] = ()
    provider_options: frozenset[str] = frozenset()
    """Names that a request's `provider_options` may use."""
    native_tools: bool = False
    """Whether the agent has it call tools by the provider's own means, instead of planning in JSON."""
    system_prompt: str = ""
    think_tags: ThinkTags = ThinkTags.NONE
    defaults: Sampling = field(default_factory=Sampling)
    litellm_params: Mapping[str, str] = field(default_factory=dict)
    """What litellm must know of the provider beside address and key: those of `LITELLM_PARAMS`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallerEntry:
    """Who may call: `[callers.NAME]`."""

    name: str
    token_hash: str
    allowed_models: frozenset[str] | None = None
    """None: all."""
    allowed_routes: frozenset[str] | None = None
    """None: all."""
    allowed_tools: frozenset[str] | None = None
    """Of the server's own tools. None: all; empty: none."""
    upstream_key: Secret | None = None
    """Key for a LiteLLM proxy that this caller's calls use; None: the server's own. From the environment as well."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyEntry:
    """The LiteLLM proxy behind the server: `LITELLM_BASE_URL` and `LITELLM_API_KEY`."""

    base_url: str
    """Without the /v1 at its end."""
    api_key: Secret = field(default_factory=lambda: Secret(""))

    @property
    def api_base(self) -> str:
        """Where it speaks the OpenAI protocol."""
        return f"{self.base_url}/v1"


class TableReader:
    """Reads one table, collecting what is wrong with it; every key must be read or it is unknown."""

    def __init__(self, where: str, table: object, problems: list[str]) -> None:
        self._where = where
        self._problems = problems
        self._table: dict[str, Any] = dict(table) if isinstance(table, Mapping) else {}
        if not isinstance(table, Mapping):
            self.problem("", "must be a table")

    def problem(self, key: str, text: str) -> None:
        """Notes what is wrong with a key."""
        self._problems.append(f"{self._where}{'.' if key else ''}{key}: {text}")

    def text(self, key: str, *, required: bool = False) -> str:
        """A string; empty when absent."""
        value = self._table.pop(key, None)
        if isinstance(value, str) and (value or not required):
            return value
        if value is not None:
            self.problem(key, "must be a string that is not empty" if required else "must be a string")
        elif required:
            self.problem(key, "is missing")
        return ""

    def texts(self, key: str) -> tuple[str, ...] | None:
        """A list of strings; None when absent."""
        value = self._table.pop(key, None)
        if value is None:
            return None
        if isinstance(value, list) and all(isinstance(item, str) and item for item in value):
            return tuple(value)
        self.problem(key, "must be a list of strings")
        return ()

    def whole(self, key: str, maximum: int = _MOST_TOKENS, *, required: bool = False) -> int | None:
        """A whole number of at least 1; None when absent."""
        value = self._table.pop(key, None)
        if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= maximum:
            return value
        if value is not None:
            self.problem(key, f"must be a whole number from 1 to {maximum}")
        elif required:
            self.problem(key, "is missing")
        return None

    def number(self, key: str, minimum: float, maximum: float) -> float | None:
        """A number in the range; None when absent."""
        value = self._table.pop(key, None)
        if value is None:
            return None
        if _is_number(value) and minimum <= value <= maximum:
            return float(value)
        self.problem(key, f"must be a number from {minimum:g} to {maximum:g}")
        return None

    def price(self, key: str) -> int | None:
        """US dollars for a million tokens, as nano-dollars; None when absent."""
        value = self._table.pop(key, None)
        if value is None:
            return None
        if _is_number(value) and 0 <= value <= 1_000_000:
            return round(value * _NANO)
        self.problem(key, "must be US dollars for a million tokens, such as 0.15")
        return None

    def truth(self, key: str) -> bool | None:
        """True or false; None when absent."""
        value = self._table.pop(key, None)
        if value is None or isinstance(value, bool):
            return value
        self.problem(key, "must be true or false")
        return None

    def truth_or(self, key: str, word: str) -> bool | str | None:
        """True, false or this word; None when absent."""
        value = self._table.pop(key, None)
        if value is None or isinstance(value, bool):
            return value
        if value == word:
            return word
        self.problem(key, f'must be true, false or "{word}"')
        return None

    def strings(self, key: str) -> dict[str, str]:
        """A table of strings; empty when absent."""
        value = self._table.pop(key, {})
        if isinstance(value, dict) and all(isinstance(item, str) for item in value.values()):
            return value
        self.problem(key, "must be a table of strings")
        return {}

    def table(self, key: str) -> "TableReader":
        """A table in this table; an empty one when absent."""
        return TableReader(f"{self._where}.{key}", self._table.pop(key, {}), self._problems)

    def tables(self, key: str) -> "list[TableReader]":
        """A list of tables; empty when absent."""
        value = self._table.pop(key, [])
        if not isinstance(value, list):
            self.problem(key, "must be a list of tables")
            return []
        return [TableReader(f"{self._where}.{key}[{row}]", table, self._problems) for row, table in enumerate(value)]

    def unread(self) -> tuple[str, ...]:
        """The keys that were not read yet."""
        return tuple(self._table)

    def finish(self) -> None:
        """Notes every key that was not read."""
        for key in self._table:
            self.problem(key, "is not a known key")


def model_entry(name: str, table: object, environment: Mapping[str, str], problems: list[str]) -> ModelEntry:
    """The entry `[models.NAME]`."""
    read = TableReader(f"models.{name}", table, problems)
    if not MODEL_NAME.fullmatch(name):
        read.problem("", "a name is 1 to 128 of letters, digits and . _ : / @ -, a letter or digit first")
    api_key = secret_in(read, "api_key_env", environment)
    defaults = read.table("defaults")
    litellm_params = read.table("litellm_params")
    entry = ModelEntry(
        name=name,
        litellm_model=_checked(
            read, "litellm_model", read.text("litellm_model", required=True), _litellm_model_problem
        ),
        api_base=_checked(read, "api_base", read.text("api_base"), _api_base_problem),
        api_key=api_key or Secret(""),
        base_model=_checked(read, "base_model", read.text("base_model"), _litellm_model_problem),
        description=read.text("description"),
        capabilities=_capabilities(read),
        context_window_tokens=read.whole("context_window_tokens"),
        max_output_tokens=read.whole("max_output_tokens"),
        prices=_prices(read),
        fallback_models=read.texts("fallback_models") or (),
        provider_options=frozenset(read.texts("provider_options") or ()),
        native_tools=bool(read.truth("native_tools")),
        system_prompt=read.text("system_prompt"),
        think_tags=_think_tags(read),
        defaults=Sampling(
            temperature=defaults.number("temperature", 0, 2),
            top_p=defaults.number("top_p", 0, 1),
            top_k=defaults.whole("top_k"),
            max_output_tokens=defaults.whole("max_output_tokens"),
        ),
        litellm_params={name: value for name in LITELLM_PARAMS if (value := litellm_params.text(name))},
    )
    defaults.finish()
    litellm_params.finish()
    read.finish()
    return entry


def caller_entry(name: str, table: object, environment: Mapping[str, str], problems: list[str]) -> CallerEntry:
    """The entry `[callers.NAME]`."""
    read = TableReader(f"callers.{name}", table, problems)
    allowed, routes = read.texts("allowed_models"), read.texts("allowed_routes")
    tools = read.texts("allowed_tools")
    entry = CallerEntry(
        name=name,
        token_hash=_checked(read, "token_hash", read.text("token_hash", required=True), _token_hash_problem),
        allowed_models=None if allowed is None else frozenset(allowed),
        allowed_routes=None if routes is None else frozenset(routes),
        allowed_tools=None if tools is None else frozenset(tools),
        upstream_key=secret_in(read, "upstream_key_env", environment),
    )
    read.finish()
    return entry


def proxy_entry(environment: Mapping[str, str], problems: list[str]) -> ProxyEntry | None:
    """The LiteLLM proxy that the environment names; None when it names none."""
    url, key = environment.get(PROXY_URL_VARIABLE, ""), environment.get(PROXY_KEY_VARIABLE, "")
    if not url:
        return None
    if problem := _proxy_url_problem(url):
        problems.append(f"{PROXY_URL_VARIABLE}: {problem}")
    if key and not _KEY.fullmatch(key):
        problems.append(f"{PROXY_KEY_VARIABLE}: must be visible ASCII characters")
    return ProxyEntry(base_url=url.rstrip("/").removesuffix("/v1").rstrip("/"), api_key=Secret(key))


def secret_in(read: TableReader, key: str, environment: Mapping[str, str]) -> Secret | None:
    """The secret in the environment variable that a key of the table names; None when it names none."""
    variable = read.text(key)
    if not variable:
        return None
    value = environment.get(variable, "")
    if not value:
        read.problem(key, f"the environment variable {variable} is not set")
    elif not _KEY.fullmatch(value):
        read.problem(key, f"the environment variable {variable} must be visible ASCII characters")
    return Secret(value)


def _prices(read: TableReader) -> Prices:
    """What the entry says that tokens cost, with the tiers for long prompts."""
    prices = Prices(**_token_prices(read))
    tiers: dict[int, dict[str, int]] = {}
    for row in read.tables("price_tiers"):
        above = row.whole("above_input_tokens", required=True)
        if above in tiers:
            row.problem("above_input_tokens", "is that of another tier")
        changes = {kind: price for kind, price in _token_prices(row).items() if price is not None}
        row.finish()
        tiers[above or 0] = changes
    if tiers and (prices.input is None or prices.output is None):
        read.problem("price_tiers", "needs input_usd_per_million and output_usd_per_million")
    return prices.with_tiers(tiers)


def _token_prices(read: TableReader) -> dict[str, Any]:
    """The prices of a table by their names in `TokenPrices`; None where it gives none."""
    return {kind.name: read.price(f"{kind.name}_usd_per_million") for kind in fields(TokenPrices)}


def _is_number(value: object) -> TypeGuard[int | Decimal]:
    """Whether a value of the file is a number that can be compared: a Decimal NaN cannot."""
    if isinstance(value, Decimal):
        return value.is_finite()
    return isinstance(value, int) and not isinstance(value, bool)


def _checked(read: TableReader, key: str, value: str, problem_of: Callable[[str], str]) -> str:
    if value and (problem := problem_of(value)):
        read.problem(key, problem)
    return value


def _litellm_model_problem(value: str) -> str:
    prefix, _, name = value.partition("/")
    return "" if prefix and name else 'must be "PROVIDER/MODEL", such as "openai/gpt-4o-mini"'


def _api_base_problem(value: str) -> str:
    return url_problem(value, "http://127.0.0.1:8000/v1", "api_key_env")


def _proxy_url_problem(value: str) -> str:
    problem = url_problem(value, "http://127.0.0.1:4000", PROXY_KEY_VARIABLE)
    return problem or ("must have no query and no fragment" if "?" in value or "#" in value else "")


def url_problem(value: str, example: str, key_name: str) -> str:
    try:
        url = urlsplit(value)
        sound = url.scheme in {"http", "https"} and bool(url.hostname) and (url.port is None or url.port > 0)
    except ValueError:
        sound = False
    if not sound:
        return f'must be an http or https URL, such as "{example}"'
    return f"must not hold a password; use {key_name}" if url.username or url.password else ""


def _token_hash_problem(value: str) -> str:
    return "" if TOKEN_HASH.fullmatch(value) else "must be what `reasoning-grpc token new` printed as the hash"


def _think_tags(read: TableReader) -> ThinkTags:
    match read.truth_or("think_tags", "open"):
        case "open":
            return ThinkTags.OPEN
        case True:
            return ThinkTags.PAIR
        case _:
            return ThinkTags.NONE


def _capabilities(read: TableReader) -> frozenset[Capability] | None:
    names = read.texts("capabilities")
    if names is None:
        return None
    known = {capability.value.lower(): capability for capability in Capability}
    for name in names:
        if name not in known:
            read.problem("capabilities", f"{json.dumps(name)} is none of {', '.join(sorted(known))}")
    return frozenset(known[name] for name in names if name in known)
