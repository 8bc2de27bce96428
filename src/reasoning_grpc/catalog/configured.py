"""`ConfiguredModel`: a model of the configuration file, with the facts that litellm's price map adds."""

from collections.abc import Iterator
from typing import Final

from reasoning_grpc.config import ModelEntry, suggest
from reasoning_grpc.domain import Caller, Capability, Deployment, ModelInfo, ModelSourceKind, Prices, Wire
from reasoning_grpc.litellm_model import (
    PROMISED,
    TEXT_COMPLETION,
    WITHOUT_ADDRESS,
    ModelFacts,
    PriceMap,
    Way,
    WireChoice,
    can_forbid_calls,
    can_store,
    choose_way,
    choose_wire_of_model,
    explain_way,
    explain_wire,
    find_known_name,
    find_listed_name,
    find_name_problem,
    find_wire_problem,
    has_provider,
    takes_json_object,
)


class ConfiguredModel:
    """A model that an entry of the configuration describes; litellm's price map fills in what the entry leaves out.

    A capability that the map denies is not taken as lacking: a wrong flag would refuse what the provider supports,
    and the provider itself refuses what its model does not support. JSON objects are the exception: see
    `_find_missing_capabilities`.
    """

    def __init__(self, entry: ModelEntry, price_map: PriceMap) -> None:
        self._deployment: Final = build_deployment(entry)
        facts, missing_capabilities = (
            find_listed_facts(entry, price_map) or ModelFacts(),
            _find_missing_capabilities(entry, self._deployment.deciding_model),
        )
        self._info: Final = ModelInfo(
            name=entry.name,
            source=ModelSourceKind.CONFIGURATION,
            provider=entry.litellm_model.partition("/")[0],
            description=entry.description,
            capabilities=facts.capabilities - missing_capabilities
            if entry.capabilities is None
            else entry.capabilities,
            missing_capabilities=missing_capabilities,
            think_tags=entry.think_tags,
            context_window_tokens=entry.context_window_tokens or facts.context_window_tokens,
            max_output_tokens=entry.max_output_tokens or facts.max_output_tokens,
            encoding=facts.encoding,
            system_prompt=entry.system_prompt,
            default_output_tokens=entry.defaults.max_output_tokens,
            # Prices are not mixed: the list price of a long prompt, say, does not fit the entry's price of a short one.
            prices=facts.prices if entry.prices == Prices() else entry.prices,
            fallback_models=entry.fallback_models,
            provider_options=entry.provider_options,
            native_tools=entry.native_tools,
        )

    def describe(self) -> ModelInfo:
        """See `ServedModel.describe`."""
        return self._info

    def find_deployment(self, caller: Caller) -> Deployment:
        """See `ServedModel.find_deployment`."""
        return caller.use_own_key(self._deployment)


def build_deployment(entry: ModelEntry) -> Deployment:
    """Returns how the adapter reaches the model of an entry."""
    return Deployment(
        name=entry.name,
        litellm_model=entry.litellm_model,
        api_base=entry.api_base,
        api_key=entry.api_key,
        system_prompt=entry.system_prompt,
        sampling=entry.defaults,
        litellm_params=entry.litellm_params,
        base_model=entry.base_model,
        known_model=find_known_name(entry.litellm_model),
        wire=entry.wire,
        store=entry.store,
    )


def _find_missing_capabilities(entry: ModelEntry, deciding_model: str) -> frozenset[Capability]:
    """Returns JSON objects when the adapter refuses them for the model, or the entry's capabilities have no JSON."""
    stated = entry.capabilities
    without_json = stated is not None and not stated & {Capability.JSON_OBJECT, Capability.JSON_SCHEMA}
    refused = without_json or not takes_json_object(deciding_model)
    return frozenset({Capability.JSON_OBJECT} if refused else ())


def find_listed_facts(entry: ModelEntry, price_map: PriceMap) -> ModelFacts | None:
    """Returns what litellm's price map says about an entry's model; None when the map does not list it."""
    name = entry.base_model or find_listed_name(entry.litellm_model, entry.api_base)
    return price_map.find_facts(name) if name else None


def find_way(entry: ModelEntry, *, has_key: bool) -> tuple[Way, str]:
    """Returns which way the calls of an entry's model take, and a sentence for people that says why.

    `has_key` is about the machine where the server runs, which need not be the one that asks.
    """
    provider, wire = entry.litellm_model.partition("/")[0], choose_wire_of_model(build_deployment(entry))
    if wire is not None and wire.wire is Wire.RESPONSES and (has_key or provider != "azure"):
        return Way.OWN_WIRE, "we speak OpenAI's Responses API ourselves"
    return explain_way(provider, has_key=has_key)


def find_wire(entry: ModelEntry) -> tuple[str, str] | None:
    """Returns which of OpenAI's APIs the calls of an entry's model go through, and a sentence that says why.

    The word is that of the entry's key `wire`, or "by call" where each call decides. None where the provider has only
    one API.
    """
    found = explain_wire(build_deployment(entry))
    if found is None:
        return None
    return (found.wire.lower(), found.reason) if isinstance(found, WireChoice) else ("by call", found)


def is_untested(entry: ModelEntry) -> bool:
    """Whether no recorded answers show that the server reads this entry's provider rightly."""
    return entry.litellm_model.partition("/")[0] not in PROMISED


def find_entry_problems(entry: ModelEntry, price_map: PriceMap) -> Iterator[str]:
    """Yields each reason why this build does not serve an entry.

    Imports litellm, which takes seconds, for a provider that the server does not promise and we do not call ourselves.
    """
    provider, slash, _ = entry.litellm_model.partition("/")  # a name that could not be read has no slash
    if provider in TEXT_COMPLETION:
        yield f"models.{entry.name}.litellm_model: {provider} completes texts; only chat is served"
    elif slash and is_untested(entry) and not entry.untested:
        yield find_provider_problem(entry) or (
            f"models.{entry.name}.litellm_model: {provider}/ is untested; "
            "choose a promised prefix (docs/providers.md), or set untested = true in this entry"
        )
    if not entry.api_base and provider in WITHOUT_ADDRESS:
        yield f"models.{entry.name}.api_base: is missing; {provider} has no address of its own"
    yield from _find_wire_problems(entry)
    if entry.native_tools and not can_forbid_calls(entry.litellm_model):
        yield (
            f"models.{entry.name}.native_tools: leave it out; after tool calls, this model cannot be told "
            "that it must not call another tool, which the agent's last model call needs"
        )
    if entry.base_model and price_map.is_known and price_map.find_facts(entry.base_model) is None:
        yield f"models.{entry.name}.base_model: {entry.base_model!r} is not a model that litellm knows"


def find_proxy_problem(entry: ModelEntry) -> str:
    """Returns why an entry's model cannot be reached through an HTTP proxy; empty when it can.

    litellm's own connections know no proxy of ours, and some providers are reached over others besides.
    """
    way, reason = find_way(entry, has_key=bool(entry.api_key))
    if way is not Way.FOREIGN or "/" not in entry.litellm_model:  # a name that could not be read has no slash
        return ""
    key = "litellm_model" if find_way(entry, has_key=True)[0] is Way.FOREIGN else "api_key_env"
    return f"models.{entry.name}.{key}: upstream_proxy cannot be used: {reason}"


def _find_wire_problems(entry: ModelEntry) -> Iterator[str]:
    """Yields what is wrong with what an entry says about OpenAI's APIs."""
    deployment = build_deployment(entry)
    if problem := find_name_problem(deployment):
        yield f"models.{entry.name}.litellm_model: {problem}"
    elif problem := find_wire_problem(deployment):
        yield f"models.{entry.name}.wire: {problem}"
    elif entry.store and not can_store(deployment):
        yield f"models.{entry.name}.store: leave it out; no call of this model goes through the Responses API"


def find_provider_problem(entry: ModelEntry) -> str:
    """Returns why an entry's provider cannot be reached; empty when it can. May import litellm, which takes seconds."""
    provider = entry.litellm_model.partition("/")[0]
    if choose_way(provider) is not Way.FOREIGN or has_provider(provider):
        return ""
    return f"models.{entry.name}.litellm_model: litellm has no provider {provider!r}{suggest(provider, PROMISED)}"
