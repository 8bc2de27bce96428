"""The plan of the tasks: the JSON schema in which a model writes it, and the checks that it must pass."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from msgspec import Struct
from msgspec.structs import replace

from reasoning_grpc.domain import RoutingPreference
from reasoning_grpc.llm.structured import STRING, Schema, array_of, object_of, one_of

_MOST_GOAL_CHARACTERS: Final = 4000
_NO_TASKS: Final = "It has no tasks."
_NO_GOAL: Final = "A task has no goal."
_LONG_GOAL: Final = f"The goal of a task is longer than {_MOST_GOAL_CHARACTERS} characters."
_SAME_NAME: Final = "Two tasks have the same name."
_UNKNOWN: Final = "A task needs a task that the plan does not have."
_CYCLE: Final = "Tasks need each other in a circle."


class Draft(Struct, frozen=True):
    """A task as the model writes it."""

    name: str
    goal: str
    needs: tuple[str, ...]
    """The names of the tasks whose results it needs."""
    tools: tuple[str, ...] = ()
    tier: RoutingPreference | None = None


@dataclass(frozen=True, slots=True)
class PlanRules:
    """What a plan may contain."""

    max_tasks: int
    tools: Sequence[str] = ()
    """The tools that tasks may use."""
    tiers: Sequence[RoutingPreference] = ()
    """The tiers of models among which the planner chooses; empty where all tasks have one model."""
    results: frozenset[str] = frozenset()
    """The ids of tasks of earlier plans whose results are there; tasks may need them too."""

    def build_schema(self) -> Schema[tuple[Draft, ...]]:
        """Returns the schema of a plan. A plan that breaks a rule is repaired like one that is no JSON."""
        members = {"name": STRING, "goal": STRING, "needs": array_of(STRING)}
        if self.tools:
            members["tools"] = array_of(one_of(self.tools))
        if self.tiers:
            members["model"] = one_of(tier.value.lower() for tier in self.tiers)
        return Schema("tasks", object_of(tasks=array_of(object_of(**members))), self._parse)

    def _parse(self, value: Mapping[str, Any]) -> tuple[Draft, ...]:
        tasks: Sequence[Mapping[str, Any]] = value["tasks"]
        if not tasks:
            raise ValueError(_NO_TASKS)
        if len(tasks) > self.max_tasks:
            raise ValueError(f"It has more than {self.max_tasks} tasks.")
        return sort_drafts(_rename_copies([_parse_draft(task) for task in tasks]), self.results)


def _parse_draft(task: Mapping[str, Any]) -> Draft:
    goal = task["goal"].strip()
    if not goal:
        raise ValueError(_NO_GOAL)
    if len(goal) > _MOST_GOAL_CHARACTERS:
        raise ValueError(_LONG_GOAL)
    tier = task.get("model")
    return Draft(
        name=task["name"].strip(),
        goal=goal,
        needs=_unique(name.strip() for name in task["needs"]),
        tools=_unique(task.get("tools", ())),
        tier=RoutingPreference(tier.upper()) if tier else None,
    )


def _rename_copies(drafts: Sequence[Draft]) -> list[Draft]:
    """Gives tasks of one name names of their own, unless another task needs one of them."""
    needed = {need for draft in drafts for need in draft.needs}
    names, renamed = set[str](), list[Draft]()
    for number, draft in enumerate(drafts, 1):
        is_copy = draft.name in names and draft.name not in needed
        renamed.append(replace(draft, name=f"{draft.name} ({number})") if is_copy else draft)
        names.add(draft.name)
    return renamed


def sort_drafts(drafts: Sequence[Draft], results: frozenset[str] = frozenset()) -> tuple[Draft, ...]:
    """Returns the tasks so that each stands behind all that it needs, and else in their order.

    `results` are the ids of earlier tasks, which may be needed too. Raises ValueError for names that are not unique or
    not known, and for circles.
    """
    names = [draft.name for draft in drafts]
    if len(set(names)) < len(names) or not results.isdisjoint(names):
        raise ValueError(_SAME_NAME)
    if not results.union(names).issuperset(need for draft in drafts for need in draft.needs):
        raise ValueError(_UNKNOWN)
    ordered: dict[str, Draft] = {}
    left = list(drafts)
    while left:
        ready = results.union(ordered)
        first = next((draft for draft in left if ready.issuperset(draft.needs)), None)
        if first is None:
            raise ValueError(_CYCLE)
        ordered[first.name] = first
        left.remove(first)
    return tuple(ordered.values())


def _unique(names: Any) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))
