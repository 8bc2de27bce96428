"""Describes a valid configuration, for `check-config`."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from reasoning_grpc.catalog import (
    find_embedded_name,
    find_listed_facts,
    find_way,
    find_wire,
    has_own_key_for_listed_models,
    is_untested,
    list_models_with_own_key,
)
from reasoning_grpc.config import Config, ModelEntry, ProxyEntry, Settings, UpstreamProxyEntry
from reasoning_grpc.domain import Prices
from reasoning_grpc.litellm_model import Way, find_price_map
from reasoning_grpc.server import Trial, Trials, count_workers
from reasoning_grpc.telemetry import Export, TelemetryPlan

WAYS: Final = {
    Way.OWN_WIRE: "our own wire",
    Way.PLAIN: "litellm's reader over our connections",
    Way.FOREIGN: "litellm's reader over its own connections",
}
"""The names of the ways, for people."""
_COUNTS_ALONE: Final = "counts for itself, and from zero when it starts"
_LIMITS_NOTE: Final = f"each process of the server {_COUNTS_ALONE}"
_PER_WORKER: Final = ("max_calls_in_flight", "max_queued_calls", "max_calls_per_upstream", "max_upstream_connections")
"""The options whose numbers hold for each worker, and not for all of them together."""
_OWN_KEY_NOTE: Final = "sealed with a key of the server; no other one goes on with them, nor does a restarted one"
_PRICES: Final = {
    "entry": "from its entry",
    "litellm": "from litellm's price map",
    "unknown": "unknown",
}


def build_summary(
    config: Config, plan: TelemetryPlan, trials: Trials | None, unset_keys: Sequence[str] = ()
) -> dict[str, Any]:
    """Returns the effect of the configuration, as `--json` prints it; `trials` is None when no model was called.

    `unset_keys` are the problems of variables that are not set, which were accepted.
    """
    settings = config.settings
    models = [_describe_model(entry, unset_keys) for entry in config.models.values()]
    if (embedded_name := find_embedded_name(config)) is not None:
        models.append({"name": embedded_name, "way": "embedded", "prices": "free"})
    proxy = None if config.proxy is None else _describe_proxy(config.proxy)
    if trials is not None:
        answers = {trial.model: _describe_answer(trial) for trial in trials.models}
        models = [model | {"answer": answers[model["name"]]} for model in models]
        if proxy is not None and trials.proxy is not None:
            proxy |= {"models": trials.proxy.model_count, "failure": trials.proxy.failure}
    return {
        "listen": settings.listen,
        "tls": settings.tls_certificate is not None,
        **_describe_workers(settings),
        "callers": sorted(config.callers),
        **({"limited_callers": limited} if (limited := _list_limited_callers(config)) else {}),
        **_describe_upstream_proxy(config.upstream_proxy),
        **({"upstream_keys": keys} if (keys := _describe_upstream_keys(config)) else {}),
        "models": models,
        "proxy": proxy,
        "traces": _describe_export(plan.traces),
        "metrics": _describe_export(plan.metrics),
        "captures_content": plan.captures_content,
        "pause_keys": len(config.pause_keys),
        **({"unset_keys": list(unset_keys)} if unset_keys else {}),
    }


def format_summary(summary: Mapping[str, Any]) -> str:
    """Returns the summary as text for a person."""
    lines = [
        "The configuration is valid.",
        f"listen   {summary['listen']}{' with TLS' if summary['tls'] else ''}",
        f"callers  {', '.join(summary['callers']) or 'anyone, without a token'}",
    ]
    if "workers" in summary:
        bounds = ", ".join(f"{name} {value}" for name, value in summary["each_worker"].items())
        lines.append(f"workers  {summary['workers']}; for each of them: {bounds}")
    if limited := summary.get("limited_callers"):
        lines.append(_format_limits(limited, summary.get("workers", 1)))
    if upstream_proxy := summary.get("upstream_proxy"):
        lines.append(_format_upstream_proxy(upstream_proxy))
    lines += [_format_upstream_keys(keys) for keys in summary.get("upstream_keys", ())]
    for model in summary["models"]:
        lines += _format_model(model, summary.get("unset_keys", ()))
    if proxy := summary["proxy"]:
        lines.append(
            f"proxy    {proxy['api_base']}, {'with' if proxy['key'] else 'without'} a key{_format_listing(proxy)}"
        )
    lines.append(f"pauses   {_format_pause_keys(summary['pause_keys'])}")
    lines += [
        f"{signal_name:8} {' and '.join(exporters)} {summary[signal_name]['endpoint']}".rstrip()
        for signal_name in ("traces", "metrics")
        if (exporters := summary[signal_name]["exporters"])
    ]
    lines += [f"unset    {problem}" for problem in summary.get("unset_keys", ())]
    if summary["captures_content"]:
        lines.append("content  traces hold the words of messages, answers, plans and tools")
    return "\n".join(lines)


def _describe_workers(settings: Settings) -> dict[str, Any]:
    """Returns the number of workers, and what each of them has for itself; nothing for a server without workers."""
    workers = count_workers(settings)
    if workers == 1:
        return {}
    return {"workers": workers, "each_worker": {name: getattr(settings, name) for name in _PER_WORKER}}


def _format_limits(callers: Sequence[str], workers: int) -> str:
    note = _LIMITS_NOTE
    if workers > 1:
        note = f"each of the {workers} workers {_COUNTS_ALONE}, so a caller may use {workers} times as much"
    return f"limits   of {', '.join(callers)}: {note}"


def _describe_model(entry: ModelEntry, unset_keys: Sequence[str]) -> dict[str, Any]:
    has_key = bool(entry.api_key) or _is_key_unset(entry.name, unset_keys)
    way, way_reason = find_way(entry, has_key=has_key)
    wire = find_wire(entry)
    return {
        "name": entry.name,
        "litellm_model": entry.litellm_model,
        "untested": is_untested(entry),
        "api_base": entry.api_base,
        "key": bool(entry.api_key),
        "way": way.value.lower(),
        "way_reason": way_reason,
        **({} if wire is None else {"wire": wire[0], "wire_reason": wire[1]}),
        "prices": _find_price_source(entry),
    }


def _describe_upstream_keys(config: Config) -> list[dict[str, Any]]:
    """Returns for each caller with keys of its own to which models they go."""
    return [
        {
            "caller": caller.name,
            "models": list_models_with_own_key(caller, config.models),
            "listed_models": has_own_key_for_listed_models(caller, config),
        }
        for caller in config.callers.values()
        if caller.upstream_keys
    ]


def _list_limited_callers(config: Config) -> list[str]:
    return sorted(name for name, entry in config.callers.items() if entry.limits is not None)


def _describe_upstream_proxy(proxy: UpstreamProxyEntry | None) -> dict[str, Any]:
    """Returns the HTTP proxy of the upstreams, without its credentials, and the hosts that it does not carry."""
    if proxy is None:
        return {}
    excluded = [*sorted(proxy.excluded_names), *map(str, proxy.excluded_networks)]
    described = {"url": proxy.url, "credentials": bool(proxy.credentials), "excluded": ["loopback", *excluded]}
    return {"upstream_proxy": described}


def _describe_proxy(proxy: ProxyEntry) -> dict[str, Any]:
    return {"api_base": proxy.api_base, "key": bool(proxy.api_key)}


def _describe_answer(trial: Trial) -> dict[str, Any]:
    answer: dict[str, Any] = {"seconds": round(trial.seconds, 3)}
    if trial.failure:
        answer |= {"failure": trial.failure, "http_status": trial.http_status or None}
        said = {"upstream_message": trial.upstream_message, "required_wire": trial.required_wire}
        answer |= {name: value for name, value in said.items() if value}
    return answer


def _find_price_source(entry: ModelEntry) -> str:
    """Returns where a model's prices come from: "entry", "litellm" or "unknown"."""
    if entry.prices != Prices():
        return "entry"
    facts = find_listed_facts(entry, find_price_map())
    return "litellm" if facts is not None and facts.prices != Prices() else "unknown"


def _describe_export(export: Export) -> dict[str, Any]:
    return {"exporters": list(export.exporters), "endpoint": export.endpoint}


def _is_key_unset(name: str, unset_keys: Sequence[str]) -> bool:
    """Whether the model has a key, in an environment variable that is not set on this machine."""
    return any(problem.startswith(f"models.{name}.api_key_env: ") for problem in unset_keys)


def _explain_missing_key(name: str, unset_keys: Sequence[str]) -> str:
    if _is_key_unset(name, unset_keys):
        return ": its environment variable is not set"
    return ": api_key_env names none"


def _format_model(model: Mapping[str, Any], unset_keys: Sequence[str]) -> list[str]:
    if model["way"] == "embedded":
        lines = [f"model    {model['name']}: in a process of this server"]
    else:
        address = model["api_base"] or "at its provider's address"
        key = "with a key" if model["key"] else f"without a key{_explain_missing_key(model['name'], unset_keys)}"
        untested = " (untested)" if model["untested"] else ""
        lines = [
            f"model    {model['name']}: {model['litellm_model']}{untested}, {address}, {key}",
            f"         way: {WAYS[Way(model['way'].upper())]}; {model['way_reason']}",
            *([f"         wire: {model['wire']}; {model['wire_reason']}"] if "wire" in model else []),
            f"         prices: {_PRICES[model['prices']]}",
        ]
    if (answer := model.get("answer")) is not None:
        lines.append(f"         {_format_answer(answer)}")
    return lines


def _format_upstream_keys(keys: Mapping[str, Any]) -> str:
    listed = ["the models that the proxy lists"] if keys["listed_models"] else []
    return f"keys     {keys['caller']} has its own for {', '.join(keys['models'] + listed)}"


def _format_upstream_proxy(proxy: Mapping[str, Any]) -> str:
    credentials = "with" if proxy["credentials"] else "without"
    return f"egress   {proxy['url']}, {credentials} credentials, but not for {', '.join(proxy['excluded'])}"


def _format_listing(proxy: Mapping[str, Any]) -> str:
    if "models" not in proxy:
        return ""
    return (
        f"; does not list its models: {proxy['failure']}" if proxy["failure"] else f"; lists {proxy['models']} models"
    )


def _format_pause_keys(count: int) -> str:
    if not count:
        return _OWN_KEY_NOTE
    return "sealed with the configured key" if count == 1 else f"sealed with the first of {count} configured keys"


def _format_answer(answer: Mapping[str, Any]) -> str:
    if "failure" not in answer:
        return f"answers: in {answer['seconds']:.2f} s"
    status = f" (HTTP {answer['http_status']})" if answer["http_status"] else ""
    sentence = f"; the provider says: {answer['upstream_message']}" if "upstream_message" in answer else ""
    wire = f"; it requires the wire {answer['required_wire']}" if "required_wire" in answer else ""
    return f"does not answer: {answer['failure']}{status}{wire}{sentence}"
