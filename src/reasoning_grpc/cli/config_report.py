"""What `check-config` tells of a configuration that is sound."""

from collections.abc import Mapping
from typing import Any, Final

from reasoning_grpc.catalog.configured import find_listed_facts, find_way
from reasoning_grpc.config import Config, ModelEntry, ProxyEntry
from reasoning_grpc.domain import Prices
from reasoning_grpc.embedded.process import MODEL_NAME
from reasoning_grpc.litellm_model import find_price_map
from reasoning_grpc.litellm_model.providers import Way
from reasoning_grpc.server.model_trial import Trial, Trials
from reasoning_grpc.telemetry.plan import Export, TelemetryPlan

_WIRES: Final = {
    Way.OWN_WIRE: "our own wire",
    Way.PLAIN: "litellm's reader over our connections",
    Way.FOREIGN: "litellm's reader over its own connections",
}
_PRICES: Final = {
    "entry": "of its entry",
    "litellm": "of litellm's map",
    "unknown": "unknown",
}


def summary(config: Config, plan: TelemetryPlan, trials: Trials | None) -> dict[str, Any]:
    """For programs; `trials` None: nothing was tried."""
    settings = config.settings
    models = [_model(entry) for entry in config.models.values()]
    if config.runs_embedded:
        models.append({"name": MODEL_NAME, "wire": "embedded", "prices": "free"})
    proxy = None if config.proxy is None else _proxy(config.proxy)
    if trials is not None:
        tried = {trial.model: _answer(trial) for trial in trials.models}
        models = [model | {"answer": tried[model["name"]]} for model in models]
        if proxy is not None and trials.proxy is not None:
            proxy |= {"models": trials.proxy.model_count, "failure": trials.proxy.failure}
    return {
        "listen": settings.listen,
        "tls": settings.tls_certificate is not None,
        "callers": sorted(config.callers),
        "models": models,
        "proxy": proxy,
        "traces": _exported(plan.traces),
        "metrics": _exported(plan.metrics),
        "captures_content": plan.captures_content,
    }


def summary_text(told: Mapping[str, Any]) -> str:
    """The same for people."""
    lines = [
        "The configuration is sound.",
        f"listen   {told['listen']}{' with TLS' if told['tls'] else ''}",
        f"callers  {', '.join(told['callers']) or 'anyone, without a token'}",
    ]
    for model in told["models"]:
        lines += _model_lines(model)
    if proxy := told["proxy"]:
        lines.append(f"proxy    {proxy['api_base']}, {'with' if proxy['key'] else 'without'} a key{_listed(proxy)}")
    lines += [
        f"{signal_name:8} {' and '.join(exporters)} {told[signal_name]['endpoint']}".rstrip()
        for signal_name in ("traces", "metrics")
        if (exporters := told[signal_name]["exporters"])
    ]
    if told["captures_content"]:
        lines.append("content  what is said stands in the traces")
    return "\n".join(lines)


def _model(entry: ModelEntry) -> dict[str, Any]:
    way, reason = find_way(entry, find_price_map())
    return {
        "name": entry.name,
        "litellm_model": entry.litellm_model,
        "api_base": entry.api_base,
        "key": bool(entry.api_key),
        "wire": way.value.lower(),
        "wire_reason": reason,
        "prices": _origin_of_prices(entry),
    }


def _proxy(proxy: ProxyEntry) -> dict[str, Any]:
    return {"api_base": proxy.api_base, "key": bool(proxy.api_key)}


def _answer(trial: Trial) -> dict[str, Any]:
    failed = {"failure": trial.failure, "http_status": trial.http_status or None} if trial.failure else {}
    return {"seconds": round(trial.seconds, 3), **failed}


def _origin_of_prices(entry: ModelEntry) -> str:
    """Who says what a model costs; "unknown" when nobody does."""
    if entry.prices != Prices():
        return "entry"
    facts = find_listed_facts(entry, find_price_map())
    return "litellm" if facts is not None and facts.prices != Prices() else "unknown"


def _exported(export: Export) -> dict[str, Any]:
    return {"exporters": list(export.exporters), "endpoint": export.endpoint}


def _model_lines(model: Mapping[str, Any]) -> list[str]:
    if model["wire"] == "embedded":
        lines = [f"model    {model['name']}: in a process of this server"]
    else:
        at = model["api_base"] or "where its provider is"
        key = "with a key" if model["key"] else "without a key: api_key_env names none"
        lines = [
            f"model    {model['name']}: {model['litellm_model']}, {at}, {key}",
            f"         wire: {_WIRES[Way(model['wire'].upper())]}; {model['wire_reason']}",
            f"         prices: {_PRICES[model['prices']]}",
        ]
    if (answer := model.get("answer")) is not None:
        lines.append(f"         {_answer_text(answer)}")
    return lines


def _listed(proxy: Mapping[str, Any]) -> str:
    if "models" not in proxy:
        return ""
    return (
        f"; does not list its models: {proxy['failure']}" if proxy["failure"] else f"; lists {proxy['models']} models"
    )


def _answer_text(answer: Mapping[str, Any]) -> str:
    if "failure" not in answer:
        return f"answers: in {answer['seconds']:.2f} s"
    status = f" (HTTP {answer['http_status']})" if answer["http_status"] else ""
    return f"does not answer: {answer['failure']}{status}"
