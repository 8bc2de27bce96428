"""The checks of a plan, and the order of its tasks."""

from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reasoning_grpc.domain import RoutingPreference
from reasoning_grpc.orchestrator.plan import Draft, PlanRules, sort_drafts
from tests.support.orchestration import plan_task

REJECTED: Final[dict[str, tuple[list[dict[str, Any]], str]]] = {
    "empty": ([], "It has no tasks."),
    "too many": ([plan_task(name) for name in "abcde"], "It has more than 4 tasks."),
    "no goal": ([plan_task("a", goal="  ")], "A task has no goal."),
    "long goal": ([plan_task("a", goal="x" * 4001)], "The goal of a task is longer than 4000 characters."),
    "same name": ([plan_task("a"), plan_task("a "), plan_task("b", "a")], "Two tasks have the same name."),
    "name of an earlier task": ([plan_task("t1")], "Two tasks have the same name."),
    "unknown": ([plan_task("a", "z")], "A task needs a task that the plan does not have."),
    "cycle": ([plan_task("a", "b"), plan_task("b", "a")], "Tasks need each other in a circle."),
    "itself": ([plan_task("a", "a")], "Tasks need each other in a circle."),
}


@pytest.mark.parametrize(("tasks", "problem"), REJECTED.values(), ids=REJECTED)
def test_a_plan_that_cannot_be_followed_is_rejected(tasks: list[dict[str, Any]], problem: str) -> None:
    """The problem is a sentence without any text of the plan, because a repair shows it, and the decision has it."""
    schema = PlanRules(4, results=frozenset({"t1"})).build_schema()

    with pytest.raises(ValueError, match=f"^{problem}$"):
        schema.parse({"tasks": tasks})


def test_a_name_that_no_task_needs_may_stand_twice() -> None:
    """Two tasks of one name are no problem as long as no task needs one of them: small models write them often."""
    drafts = PlanRules(4).build_schema().parse({"tasks": [plan_task("a"), plan_task("a", goal="Find it.")]})

    assert [draft.goal for draft in drafts] == ["Find a.", "Find it."]
    assert len({draft.name for draft in drafts}) == 2


def test_tools_and_tiers_are_members_only_where_there_are_any() -> None:
    """A task has a member for tools and for a tier only where there is something to choose."""
    bare = PlanRules(4).build_schema().shape["properties"]["tasks"]["items"]["properties"]
    rules = PlanRules(4, ("clock",), (RoutingPreference.COST, RoutingPreference.QUALITY))
    whole = rules.build_schema().shape["properties"]["tasks"]["items"]["properties"]

    assert list(bare) == ["name", "goal", "needs"]
    assert whole["tools"]["items"]["enum"] == ["clock"]
    assert whole["model"]["enum"] == ["cost", "quality"]


@given(st.data())
def test_each_task_stands_behind_what_it_needs(data: st.DataObject) -> None:
    """Sorting keeps all tasks, puts each behind its needs, and leaves a plan as it is that has no task too early."""
    names = data.draw(st.permutations("abcdef"))
    drafts = [
        Draft(
            name, "Find it.", tuple(data.draw(st.lists(st.sampled_from(names[:index]), unique=True)) if index else ())
        )
        for index, name in enumerate(names)
    ]
    mixed = data.draw(st.permutations(drafts))

    ordered = sort_drafts(mixed)

    assert set(ordered) == set(drafts)
    for index, draft in enumerate(ordered):
        assert {each.name for each in ordered[:index]}.issuperset(draft.needs)
    assert sort_drafts(drafts) == tuple(drafts)
