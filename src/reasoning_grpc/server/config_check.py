"""Checks that this build can serve what a configuration describes: models, providers, prompt files, tools."""

from collections.abc import Iterator
from pathlib import Path

from reasoning_grpc.agent import TOOLS_PLACEHOLDER
from reasoning_grpc.catalog import (
    find_embedded_name,
    find_entry_problems,
    find_key_problems,
    find_provider_problem,
    find_proxy_problem,
    is_untested,
)
from reasoning_grpc.config import ClassifierStrategy, Config, suggest
from reasoning_grpc.litellm_model import find_price_map
from reasoning_grpc.orchestrator import GOAL_PLACEHOLDER, MEMBERS_PLACEHOLDER
from reasoning_grpc.router import ROUTES_PLACEHOLDER
from reasoning_grpc.router.embedding import InvalidExamples, is_embedding_installed, parse_examples
from reasoning_grpc.tools import find_tool_problems


def find_config_problems(config: Config) -> list[str]:
    """Returns a sentence for each part of the configuration that this build cannot serve.

    Reading the configuration cannot find these problems, because they depend on the other floors.
    """
    price_map = find_price_map()
    problems = [problem for entry in config.models.values() for problem in find_entry_problems(entry, price_map)]
    if config.upstream_proxy is not None:
        problems += filter(None, map(find_proxy_problem, config.models.values()))
    problems += [problem for caller in config.callers.values() for problem in find_key_problems(caller, config)]
    problems += _find_prompt_problems(config)
    problems += _find_router_embedding_problems(config)
    problems += find_tool_problems(config)
    if (embedded_name := find_embedded_name(config)) in config.models:
        problems.append(f"models.{embedded_name}: the embedded model has this name")
    if config.proxy is None:  # a proxy decides which other models exist, and its list may change
        problems += _find_unknown_models(config)
    return problems


def find_unknown_providers(config: Config) -> list[str]:
    """Returns a sentence for each model of an accepted untested provider which neither we nor litellm know.

    `find_config_problems` reports the others. Imports litellm, which takes seconds, when a provider is not one that
    we call ourselves.
    """
    accepted = [entry for entry in config.models.values() if entry.untested and is_untested(entry)]
    return [problem for entry in accepted if (problem := find_provider_problem(entry))]


def _find_prompt_problems(config: Config) -> Iterator[str]:
    settings = config.settings
    for key, file, place in (
        ("classifier.prompt_file", config.classifier.prompt_file, ROUTES_PLACEHOLDER),
        ("agent_plan_prompt", settings.agent_plan_prompt, TOOLS_PLACEHOLDER),
        ("agent_native_prompt", settings.agent_native_prompt, ""),
        ("agent_answer_prompt", settings.agent_answer_prompt, ""),
        ("orchestration_plan_prompt", settings.orchestration_plan_prompt, MEMBERS_PLACEHOLDER),
        ("orchestration_task_prompt", settings.orchestration_task_prompt, GOAL_PLACEHOLDER),
        ("orchestration_answer_prompt", settings.orchestration_answer_prompt, ""),
    ):
        if file is None:
            continue
        try:
            prompt = file.read_text("utf-8")
        except (OSError, UnicodeError):
            yield f"{key}: {str(file)!r} is not a readable file of UTF-8 text"
            continue
        if place not in prompt:
            yield f"{key}: {str(file)!r} has no {place}, where the {place.strip('{}')} are put in"


def _find_router_embedding_problems(config: Config) -> Iterator[str]:
    """Yields a sentence for each part of the embedding's configuration that cannot be used."""
    entry = config.classifier
    if entry.strategy is not ClassifierStrategy.MODEL and not is_embedding_installed():
        strategy = entry.strategy.lower()
        yield f"classifier.strategy: {strategy} needs the embedding: pip install 'reasoning-grpc[embedding]'"
    if entry.router_file is not None and not entry.router_file.is_file():
        yield f"classifier.router_file: {str(entry.router_file)!r} is not a file"
    for route in config.routes.values():
        if route.examples_file is not None:
            yield from _find_file_problems(route.name, route.examples_file)


def _find_file_problems(name: str, file: Path) -> Iterator[str]:
    key = f"routes.{name}.examples_file"
    try:
        examples = parse_examples(file.read_bytes())
    except OSError:
        yield f"{key}: {str(file)!r} is not a readable file"
    except InvalidExamples as exc:
        yield from (f"{key}: {problem}" for problem in exc.problems)
    else:
        if not any(example.route == name for example in examples):
            yield f"{key}: {str(file)!r} has no example of the route {name!r}"


def _find_unknown_models(config: Config) -> Iterator[str]:
    """Yields a sentence for each place that needs a model which the configuration does not have."""
    embedded_name = find_embedded_name(config)
    names = {*config.models, *([embedded_name] if embedded_name else [])}
    default = config.settings.default_model
    if default and default not in names:
        yield f"default_model: {default!r} is not a model of this configuration{suggest(default, names)}"
    if not default and not config.runs_embedded and len(names) > 1:
        yield "default_model: is missing; there are several models"
    for entry in config.models.values():
        unknown = [name for name in entry.fallback_models if name not in names]
        others = names - {entry.name}
        yield from (
            f"models.{entry.name}.fallback_models: {name!r} is not another model{suggest(name, others)}"
            for name in unknown
        )
    for caller in config.callers.values():
        unknown = sorted((caller.allowed_models or frozenset()) - names)
        yield from (
            f"callers.{caller.name}.allowed_models: {name!r} is not a model{suggest(name, names)}" for name in unknown
        )
    for key, name in _models_of_routing(config):
        if name not in names:
            yield f"{key}: {name!r} is not a model{suggest(name, names)}"


def _models_of_routing(config: Config) -> Iterator[tuple[str, str]]:
    """Yields each configuration key of classifier, routes and rules that names a model, and that model's name."""
    if config.classifier.model:
        yield "classifier.model", config.classifier.model
    for route in config.routes.values():
        if route.model:
            yield f"routes.{route.name}.model", route.model
        for preference, model in route.preferred_models.items():
            yield f"routes.{route.name}.models.{preference.value.lower()}", model
    for rule in config.rules:
        if rule.model:
            yield f"rules.{rule.id}.then.model", rule.model
