"""`AgentPrompts`: the prompts that ask a model to think in steps, and to answer."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Final

from reasoning_grpc.domain import Message, ModelInfo, ModelSourceKind, Part, Role, Text, ToolInfo

TOOLS_PLACEHOLDER: Final = "{tools}"
"""The place in the prompt of a step where the tools and their arguments are inserted."""
STEPS_PLACEHOLDER: Final = "{max_steps}"
_PACKAGE: Final = "reasoning_grpc.agent"
_EXAMPLE_TOOL: Final = "calculator"
_NO_TOOLS: Final = "There are none."


@dataclass(frozen=True, slots=True)
class AgentPrompts:
    """The prompts of an agent."""

    plan: str
    """The instructions for steps in JSON."""
    native: str
    """The instructions for steps with the provider's own tool calls."""
    answer: str
    """The last message of the user, which asks for the answer after the steps."""
    examples: tuple[Message, ...] = ()
    """Steps in JSON with the calculator. Only the embedded model gets them: without them it does not come to an end."""

    def step_instructions(self, tools: Sequence[ToolInfo], max_steps: int, *, native: bool) -> str:
        """Returns the instructions for every step of a run."""
        text = self.native if native else self.plan
        listed = "\n".join(map(_describe, tools)) or _NO_TOOLS
        return text.replace(TOOLS_PLACEHOLDER, listed).replace(STEPS_PLACEHOLDER, str(max_steps))

    def select_examples(self, model: ModelInfo, tools: Sequence[ToolInfo]) -> tuple[Message, ...]:
        """Returns the example messages that precede the conversation; none for models that need none."""
        needs_examples = model.source is ModelSourceKind.EMBEDDED and _EXAMPLE_TOOL in {tool.name for tool in tools}
        return self.examples if needs_examples else ()


def load_agent_examples() -> tuple[Message, ...]:
    """Reads the examples that the package contains."""
    lines = map(json.loads, files(_PACKAGE).joinpath("plan_examples.jsonl").read_text("utf-8").splitlines())
    return tuple(Message(Role(line["role"]), (Part(Text(line["text"])),)) for line in lines)


def load_agent_prompt(name: str) -> str:
    """Reads a prompt that the package contains; `name` is "plan", "native" or "answer"."""
    return files(_PACKAGE).joinpath(f"{name}_prompt.txt").read_text("utf-8").strip()


def _describe(tool: ToolInfo) -> str:
    return f"- {tool.name}: {tool.description}\n  Arguments: {tool.parameters_schema or '{}'}"
