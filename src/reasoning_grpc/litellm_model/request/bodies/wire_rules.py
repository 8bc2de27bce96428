"""`WireRules`: what may differ between the arguments of litellm and the body that leaves, for each provider.

Measured on litellm 1.106.2, for the promised providers of the OpenAI protocol. docs/providers.md describes each
difference that a caller can notice.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from reasoning_grpc.litellm_model.promised import PROMISED

Rewrite = Callable[[dict[str, Any]], None]
"""Gives the arguments in a dict the names and values of the provider. It edits the dict, but no value in it."""
Replacement = Callable[[Any, Mapping[str, Any]], bool]
"""Whether a body says otherwise what the missing parameter with this value says."""


@dataclass(frozen=True, slots=True)
class WireRules:
    """The differences that are right."""

    rewrite: Rewrite | None = None
    """None where the provider has litellm's names and values."""
    rewritten_fields: Mapping[str, str] = field(default_factory=dict)
    """The request fields of the parameters that `rewrite` writes."""
    restored: frozenset[str] = frozenset()
    """Parameters that the provider takes, although litellm leaves them out or gives them another value."""
    additions: frozenset[str] = frozenset()
    """Members that litellm may add."""
    replacements: Mapping[str, Replacement] = field(default_factory=dict)
    """Parameters that litellm may write in another way."""


JSON_TOOL: Final = "json_tool_call"
"""litellm's name of the tool whose arguments are the answer, where a model takes tools but no schemas."""


def _is_text_or_json_tool(response_format: Mapping[str, Any], body: Mapping[str, Any]) -> bool:
    """Whether the format is text, which needs no word, or the model is forced to write the answer by a tool."""
    if response_format["type"] == "text":
        return True
    choice = {"type": "function", "function": {"name": JSON_TOOL}}
    match body:
        case {"tools": [{"function": {"name": name, "parameters": schema}}], "tool_choice": tool_choice}:
            requested = response_format.get("json_schema", {}).get("schema")
            return bool(name == JSON_TOOL and tool_choice == choice and schema == requested)
        case _:
            return False


def _is_thinking(effort: str, body: Mapping[str, Any]) -> bool:
    """Whether the body has a budget for the effort within the limit of the answer, or none where none is wanted."""
    thinking = body.get("thinking")
    if thinking is None or effort == "none":
        return thinking is None and effort == "none"
    limit = body.get("max_tokens")
    return limit is None or thinking.get("budget_tokens", 0) < limit


def _rewrite_for_mistral(arguments: dict[str, Any]) -> None:
    if "seed" in arguments:
        arguments["random_seed"] = arguments.pop("seed")


_PLAIN: Final = WireRules()
_OF_PROVIDER: Final[Mapping[str, WireRules]] = {
    "databricks": WireRules(
        additions=frozenset({"max_tokens", "output_config", "thinking", "tool_choice", "tools"}),
        replacements={"response_format": _is_text_or_json_tool, "reasoning_effort": _is_thinking},
    ),
    "deepinfra": WireRules(restored=frozenset({"tool_choice"})),
    "groq": WireRules(
        additions=frozenset({"tool_choice", "tools"}), replacements={"response_format": _is_text_or_json_tool}
    ),
    "mistral": WireRules(
        rewrite=_rewrite_for_mistral,
        rewritten_fields={"random_seed": "sampling.seed"},
        restored=frozenset({"tool_choice"}),
    ),
    "openrouter": WireRules(additions=frozenset({"usage"})),
}


def find_wire_rules(provider: str) -> WireRules | None:
    """Returns the rules of a provider; None where a body is not checked, because it has another protocol."""
    return _OF_PROVIDER.get(provider, _PLAIN) if PROMISED.get(provider) == "OpenAI" else None
