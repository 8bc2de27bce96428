"""`OrchestrationPrompts`: the prompts that ask a model for a plan, for the result of a task, and for the answer."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Final

from reasoning_grpc.domain import (
    Message,
    ModelInfo,
    ModelSourceKind,
    Part,
    Role,
    RoutingPreference,
    Text,
    ToolInfo,
)

TASKS_PLACEHOLDER: Final = "{max_tasks}"
MEMBERS_PLACEHOLDER: Final = "{members}"
"""The place in the planner's prompt where the tools and the tiers of models are inserted."""
GOAL_PLACEHOLDER: Final = "{goal}"
_PACKAGE: Final = "reasoning_grpc.orchestrator"
_TOOLS: Final = '- "tools": the names of the tools that its agent may call; empty where it needs none. The tools:'
_TIERS: Final = '- "model": which model works on it: {}.'
_TIER_NAMES: Final = {
    RoutingPreference.QUALITY: '"quality" for hard tasks',
    RoutingPreference.BALANCED: '"balanced" for most tasks',
    RoutingPreference.COST: '"cost" for easy tasks',
}


@dataclass(frozen=True, slots=True)
class OrchestrationPrompts:
    """The prompts of orchestration."""

    plan: str
    """The instructions of the planner."""
    task: str
    """What follows the conversation in a task."""
    answer: str
    """What asks for the answer from the results."""
    examples: tuple[Message, ...] = ()
    """Plans of tasks. Only the embedded model gets them: without them it writes goals without an end."""

    def write_plan_instructions(
        self, max_tasks: int, tools: Sequence[ToolInfo], tiers: Sequence[RoutingPreference]
    ) -> str:
        """Returns the instructions of the planner."""
        members = []
        if tools:
            members += [_TOOLS, *(f"  - {tool.name}: {tool.description}" for tool in tools)]
        if tiers:
            members.append(_TIERS.format(", ".join(_TIER_NAMES[tier] for tier in tiers)))
        text = self.plan.replace(TASKS_PLACEHOLDER, str(max_tasks))
        return text.replace(MEMBERS_PLACEHOLDER, "\n".join(members))

    def select_examples(self, model: ModelInfo, *, has_tools: bool) -> tuple[Message, ...]:
        """Returns the examples for the planner's model; none for models that need none.

        Their tasks need no tools, and say so where `has_tools` tells that a task may have some.
        """
        if model.source is not ModelSourceKind.EMBEDDED:
            return ()
        if not has_tools:
            return self.examples
        return tuple(_build_example(role, text, has_tools=True) for role, text in map(_read_example, self.examples))

    def write_task(self, goal: str) -> str:
        """Returns what asks an agent for the result of a task."""
        return self.task.replace(GOAL_PLACEHOLDER, goal)


def load_planner_examples() -> tuple[Message, ...]:
    """Reads the examples that the package contains."""
    lines = map(json.loads, files(_PACKAGE).joinpath("planner_examples.jsonl").read_text("utf-8").splitlines())
    return tuple(_build_example(Role(line["role"]), line["text"], has_tools=False) for line in lines)


def _read_example(message: Message) -> tuple[Role, str]:
    return message.role, "".join(part.content.text for part in message.content if isinstance(part.content, Text))


def _build_example(role: Role, text: str, *, has_tools: bool) -> Message:
    if role is Role.ASSISTANT and has_tools:
        tasks = json.loads(text)["tasks"]
        text = json.dumps({"tasks": [{**task, "tools": []} for task in tasks]})
    return Message(role, (Part(Text(text)),))


def load_orchestration_prompt(name: str) -> str:
    """Reads a prompt that the package contains; `name` is "planner", "task" or "synthesis"."""
    return files(_PACKAGE).joinpath(f"{name}_prompt.txt").read_text("utf-8").strip()
