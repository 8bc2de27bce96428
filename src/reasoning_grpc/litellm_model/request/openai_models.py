"""`describe_model`: what is known about a model of OpenAI's before it is called: its APIs, and whether it reasons.

The facts come from litellm's price map. The map does not list every name that OpenAI serves, such as a model of a later
date or a fine-tuned one, so a name without an entry has the facts of the name without its date, and a name of a known
family has the facts of its family. Where neither says anything, a fact is unknown.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from reasoning_grpc.domain import Capability, Deployment, Wire
from reasoning_grpc.litellm_model.prices.model_facts import ModelFacts
from reasoning_grpc.litellm_model.prices.price_map import find_price_map

_VERSION: Final = re.compile(r"(?:ft:)?gpt-(\d)(?:\.(\d+))?(?=[-.:]|$)")
"""The version in a name of GPT. The name "gpt-35-turbo", which is Azure's for version 3.5, has none."""
_REFUSES_TOOLS_FROM: Final = (5, 4)
"""The first version of GPT whose Chat Completions refuses function tools while the model reasons."""
_TAKES_CACHE_MARKS_FROM: Final = (5, 6)
"""The first version of GPT that takes marks at the end of what is to be cached."""
_SERIES_O: Final = re.compile(r"(?:ft:)?o\d(?=[-:]|$)")
_RESPONSES_ONLY: Final = re.compile(
    r"(?:gpt-[5-9]|o\d).*-(?:pro|codex|deep-research)(?:-(?:max|mini))?|codex-mini(?:-latest)?"
)
"""The names of models that have no Chat Completions, without their dates."""
_DOES_NOT_REASON: Final = "gpt-5-chat"
"""The beginning of the names of models that do not reason, although litellm lists one of them as such a model."""
_DATE: Final = re.compile(r"-\d{4}-\d{2}-\d{2}$")
_FINE_TUNED: Final = re.compile(r"ft:([^:]+):.*")
_LISTED_WITH_DATES: Final = frozenset({"azure", "openai"})
"""Providers whose models have dates in the map."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenAIModel:
    """The facts that decide how a model of OpenAI's is called."""

    wires: frozenset[Wire] = frozenset()
    """The APIs that serve it; empty when they are not known."""
    reasons: bool | None = None
    """None when it is not known whether the model reasons."""
    default_effort: str = ""
    """The effort of a call that names none, in OpenAI's own word; empty when it is not known."""
    is_series_o: bool = False
    refuses_tools: bool = False
    """Whether Chat Completions refuses function tools while the model reasons."""
    takes_cache_marks: bool = False


def describe_model(deployment: Deployment) -> OpenAIModel:
    """Returns the facts about the model of a deployment, which are those of its base model, if it has one."""
    return describe_openai_model(deployment.base_model or deployment.litellm_model)


@lru_cache(maxsize=1024)
def describe_openai_model(model: str) -> OpenAIModel:
    """Returns the facts about a model by litellm's name, such as "openai/gpt-5.6"."""
    name = _remove_folders(model)
    version, is_alone = _read_version(name), _RESPONSES_ONLY.fullmatch(_DATE.sub("", name)) is not None
    listed = _find_facts(model)
    refuses_tools = version >= _REFUSES_TOOLS_FROM
    wires = next((facts.wires for facts in listed if facts.wires), frozenset())
    if not wires and (refuses_tools or is_alone):
        wires = frozenset({Wire.RESPONSES} if is_alone else Wire)
    is_listed = any(Capability.REASONING in facts.capabilities for facts in listed)
    is_reasoner = refuses_tools or is_alone or (is_listed and not name.startswith(_DOES_NOT_REASON))
    return OpenAIModel(
        wires=wires,
        reasons=is_reasoner if is_reasoner or listed else None,
        default_effort=next((facts.default_effort for facts in listed if facts.default_effort), ""),
        is_series_o=_SERIES_O.match(name) is not None,
        refuses_tools=refuses_tools,
        takes_cache_marks=version >= _TAKES_CACHE_MARKS_FROM,
    )


def find_known_name(model: str) -> str:
    """Returns the name by which litellm knows a model of OpenAI's that its map does not list; empty without one.

    That is the name without its date, or the one of the model that was tuned. litellm judges parameters by it.
    """
    prefix = model.partition("/")[0]
    if prefix not in _LISTED_WITH_DATES:
        return ""
    names = (f"{prefix}/{each}" for each in _list_names(model))
    listed = next((name for name in names if find_price_map().find_facts(name) is not None), model)
    return listed if listed != model else ""


def _find_facts(model: str) -> list[ModelFacts]:
    """Returns what the map lists under the names that the model may have there, the best one first."""
    prefix = model.partition("/")[0]
    listed = (find_price_map().find_facts(f"{prefix}/{each}") for each in _list_names(model))
    return [facts for facts in listed if facts is not None]


def _list_names(model: str) -> list[str]:
    """Returns the names that a model may have in the map, without the provider, the best one first."""
    whole, name = model.partition("/")[2], _remove_folders(model)
    tuned = _FINE_TUNED.fullmatch(name)
    names = [whole, name, *([f"ft:{tuned[1]}", tuned[1]] if tuned else [])]
    names += [_DATE.sub("", each) for each in names]
    return [each for each in dict.fromkeys(names) if each]


def _remove_folders(model: str) -> str:
    """Returns the name without its provider; empty for a name of another server, which has folders.

    Only Azure's names may have a folder, which is a region: "azure/eu/gpt-5".
    """
    prefix, _, name = model.partition("/")
    if prefix == "azure":
        return name.rpartition("/")[2]
    return "" if "/" in name else name


def _read_version(name: str) -> tuple[int, int]:
    """Returns the version of GPT in a name; (0, 0) where there is none."""
    found = _VERSION.match(name)
    return (0, 0) if found is None else (int(found[1]), int(found[2] or 0))
