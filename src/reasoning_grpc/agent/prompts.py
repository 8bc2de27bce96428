"""`AgentPrompts`: the words in which a model is asked to think, and to answer."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Final

from reasoning_grpc.domain import Message, ModelInfo, ModelSourceKind, Part, Role, Text, ToolInfo

TOOLS_PLACE: Final = "{tools}"
"""Where the tools and their arguments stand in the prompt of a step."""
STEPS_PLACE: Final = "{max_steps}"
_PACKAGE: Final = "reasoning_grpc.agent"
_EXAMPLE_TOOL: Final = "calculator"
_NO_TOOLS: Final = "There are none."


@dataclass(frozen=True, slots=True)
class AgentPrompts:
    """One text for each way of asking."""

    plan: str
    """For steps in JSON."""
    native: str
    """For steps with the provider's own tool calls."""
    answer: str
    """For the synthesis, as the user's last words."""
    examples: tuple[Message, ...] = ()
    """Steps in JSON with the calculator, for the embedded model, which without them finds no end."""

    def for_steps(self, tools: Sequence[ToolInfo], max_steps: int, *, native: bool) -> str:
        """The instructions for every step of a run."""
        text = self.native if native else self.plan
        listed = "\n".join(map(_listed, tools)) or _NO_TOOLS
        return text.replace(TOOLS_PLACE, listed).replace(STEPS_PLACE, str(max_steps))

    def examples_for(self, model: ModelInfo, tools: Sequence[ToolInfo]) -> tuple[Message, ...]:
        """Messages that go before the conversation."""
        helps = model.source is ModelSourceKind.EMBEDDED and _EXAMPLE_TOOL in {tool.name for tool in tools}
        return self.examples if helps else ()


def packaged_examples() -> tuple[Message, ...]:
    """The examples of the package."""
    lines = map(json.loads, files(_PACKAGE).joinpath("plan_examples.jsonl").read_text("utf-8").splitlines())
    return tuple(Message(Role(line["role"]), (Part(Text(line["text"])),)) for line in lines)


def packaged_prompt(name: str) -> str:
    """A prompt of the package: "plan", "native" or "answer"."""
    return files(_PACKAGE).joinpath(f"{name}_prompt.txt").read_text("utf-8").strip()


def _listed(tool: ToolInfo) -> str:
    return f"- {tool.name}: {tool.description}\n  Arguments: {tool.parameters_schema or '{}'}"
