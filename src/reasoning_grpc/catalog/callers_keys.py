"""The keys that callers have of their own: to which models they go, and which of them cannot be used."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final
from urllib.parse import urlsplit

from reasoning_grpc.catalog.embedded_entry import find_embedded_name
from reasoning_grpc.config import PROXY_PREFIX, CallerEntry, Config, ModelEntry, suggest
from reasoning_grpc.litellm_model import takes_key

_EVERY_MODEL: Final = "/*"
"""What follows a provider in the name of a key for all of its models. No model's name has a star."""


def list_models_with_own_key(caller: CallerEntry, models: Mapping[str, ModelEntry]) -> list[str]:
    """Returns the names of the configured models to which the caller's calls send a key of the caller's own."""
    return [name for name, entry in models.items() if _find_key_name(caller, entry)]


def has_own_key_for_listed_models(caller: CallerEntry, config: Config) -> bool:
    """Returns whether the caller's calls send its own key to the models that the LiteLLM proxy lists."""
    return config.proxy is not None and PROXY_PREFIX + "*" in caller.upstream_keys


def find_key_problems(caller: CallerEntry, config: Config) -> Iterator[str]:
    """Yields each reason why a key of the caller's cannot be used as the configuration says."""
    for name in caller.upstream_keys:
        place = f"callers.{caller.name}.upstream_keys.{name}"
        if not name.endswith(_EVERY_MODEL):
            problem = _find_model_problem(name, config)
        else:
            problem = _find_provider_problem(caller, name.removesuffix(_EVERY_MODEL), config)
        if problem:
            yield f"{place}: {problem}"


def _find_model_problem(name: str, config: Config) -> str:
    """Returns why no caller can have a key of its own for a model of this name; empty when one can."""
    models = config.models
    if name in models:
        return _explain_credentials(_get_provider(models[name]))
    if name == find_embedded_name(config):
        return "is the embedded model, which needs no key"
    providers = _list_providers(config)
    if name.rstrip("/") in providers:
        return f'is not a model; all models of a provider are "{name.rstrip("/")}{_EVERY_MODEL}"'
    known = [*models, *(provider + _EVERY_MODEL for provider in providers)]
    return f"is not a model of this configuration{suggest(name, known)}"


def _find_provider_problem(caller: CallerEntry, provider: str, config: Config) -> str:
    """Returns why no key of this caller can be sent to all models of a provider; empty when one can."""
    models = config.models.values()
    providers = _list_providers(config)
    if provider not in providers:
        if not all(map(_get_provider, models)):  # a name that could not be read may be one of this provider
            return ""
        known = [other + _EVERY_MODEL for other in providers]
        return f"no model of this configuration is reached as {provider}/{suggest(provider + _EVERY_MODEL, known)}"
    if problem := _explain_credentials(provider):
        return problem
    covered = [entry for entry in models if _find_key_name(caller, entry) == provider + _EVERY_MODEL]
    addresses = {_find_origin(entry.api_base) for entry in covered}
    if config.proxy is not None and provider + "/" == PROXY_PREFIX:
        addresses.add(_find_origin(config.proxy.api_base))
    if len(addresses) > 1:
        names = ", ".join(entry.name for entry in covered)
        return f"would send one key to different addresses; name the models instead ({names})"
    return ""


def _find_key_name(caller: CallerEntry, entry: ModelEntry) -> str:
    """Returns the name of the caller's key for a model: the model's own name before its provider's; else empty."""
    names = (entry.name, _get_provider(entry) + _EVERY_MODEL)
    return next((name for name in names if name in caller.upstream_keys), "")


def _explain_credentials(provider: str) -> str:
    """Returns why callers cannot have keys of their own for a provider; empty when they can."""
    if not provider or takes_key(provider):
        return ""
    return f"no caller can have its own key for {provider}/, whose credentials are not one key"


def _list_providers(config: Config) -> list[str]:
    entries: Iterable[ModelEntry] = config.models.values()
    found = [_get_provider(entry) for entry in entries]
    if config.proxy is not None:
        found.append(PROXY_PREFIX.removesuffix("/"))
    return list(dict.fromkeys(filter(None, found)))


def _get_provider(entry: ModelEntry) -> str:
    """Returns the provider of an entry; empty when its `litellm_model` could not be read."""
    provider, slash, _ = entry.litellm_model.partition("/")
    return provider if slash else ""


def _find_origin(api_base: str) -> tuple[str, str | None, int | None]:
    """Returns scheme, host and port of an address, by which servers differ; all are empty for the provider's own."""
    try:
        url = urlsplit(api_base)
        port = url.port or {"http": 80, "https": 443}.get(url.scheme)
        return url.scheme, url.hostname, port
    except ValueError:  # another problem of the entry says that it is no address
        return "", None, None
