"""Which tasks begin when, and which never do."""

from reasoning_grpc.domain import PlannedTask, Task, TaskOutcome
from reasoning_grpc.orchestrator.run_state import SuspendedTask
from reasoning_grpc.orchestrator.schedule import Schedule


def plan(*tasks: tuple[str, ...], parallel: int = 4) -> Schedule:
    """Builds the schedule of a plan: each task is its id, followed by what it needs."""
    schedule = Schedule(parallel)
    schedule.add_plan([PlannedTask(task[0], "Find it.", task[1:]) for task in tasks])
    return schedule


def start_all(schedule: Schedule) -> list[str]:
    """Starts what may begin now."""
    started = []
    while (planned := schedule.start_next()) is not None:
        started.append(planned.id)
    return started


def end(id_: str, outcome: TaskOutcome = TaskOutcome.DONE, result: str = "") -> Task:
    """Builds the end of a task."""
    return Task(number=1, id=id_, attempt=1, model="m", outcome=outcome, result=result)


def test_tasks_begin_when_what_they_need_is_there() -> None:
    """A task begins when all that it needs has ended with a result, and not before."""
    schedule = plan(("a",), ("b",), ("c", "a", "b"))

    assert start_all(schedule) == ["a", "b"]
    schedule.record_end(end("a"))
    assert start_all(schedule) == []
    schedule.record_end(end("b"))
    assert start_all(schedule) == ["c"]


def test_as_many_run_as_are_allowed() -> None:
    """When one ends, the next one begins."""
    schedule = plan(("a",), ("b",), ("c",), parallel=2)

    assert start_all(schedule) == ["a", "b"]
    schedule.record_end(end("b"))
    assert start_all(schedule) == ["c"]


def test_a_failure_that_may_pass_is_tried_once_more() -> None:
    """The second attempt is the last one."""
    schedule = plan(("a",), ("b", "a"))
    start_all(schedule)

    schedule.record_end(end("a", TaskOutcome.FAILED), may_pass=True)
    assert (start_all(schedule), schedule.count_attempts("a")) == (["a"], 2)
    schedule.record_end(end("a", TaskOutcome.FAILED), may_pass=True)

    assert start_all(schedule) == []
    assert [task.id for task in schedule.list_blocked()] == ["b"]


def test_what_needs_a_blocked_task_is_blocked_too() -> None:
    """A task that needs one without a result can never begin, nor can what needs that one."""
    schedule = plan(("a",), ("b", "a"), ("c", "b"), ("d",))
    start_all(schedule)

    schedule.record_end(end("a", TaskOutcome.STOPPED))

    assert [task.id for task in schedule.list_blocked()] == ["b", "c"]


def test_a_partial_result_is_a_result() -> None:
    """A task that a limit stopped, or that failed while it wrote, hands on what it had found."""
    schedule = plan(("a",), ("b", "a"))
    start_all(schedule)

    schedule.record_end(end("a", TaskOutcome.STOPPED, "Half of it."))

    assert start_all(schedule) == ["b"]


def test_a_new_plan_replaces_what_has_not_begun() -> None:
    """Tasks that ended stay, and those of the new plan may need them."""
    schedule = plan(("a",), ("b",), ("c", "b"))
    start_all(schedule)
    schedule.record_end(end("a"))
    schedule.record_end(end("b", TaskOutcome.FAILED))

    schedule.add_plan([PlannedTask("d", "Find it.", ("a",))])

    assert start_all(schedule) == ["d"]
    assert [planned.id for planned, _ in schedule.list_ended()] == ["a", "b"]


def test_the_rounds_are_those_of_the_longest_chain_or_of_the_line() -> None:
    """The time is divided by the tasks that follow each other, or by the turns that the waiting tasks take."""
    chain = plan(("a",), ("b", "a"), ("c", "b"), ("d",))
    line = plan(*((name,) for name in "abcdef"), parallel=2)
    for schedule in (chain, line):
        schedule.start_next()

    assert chain.count_rounds("a") == 3
    assert line.count_rounds("a") == 3


def test_a_suspended_task_holds_what_needs_it() -> None:
    """What needs a task that waits for the caller neither begins nor is blocked, and its place is free for others."""
    schedule = plan(("a",), ("b", "a"), ("c",), parallel=1)
    start_all(schedule)

    schedule.suspend(end("a", TaskOutcome.SUSPENDED), SuspendedTask(1, (), b""))

    assert start_all(schedule) == ["c"]
    assert schedule.count_rounds("c") == 1
    schedule.record_end(end("c"))
    assert start_all(schedule) == []
    assert schedule.list_blocked() == []


def test_a_restored_schedule_goes_on_with_what_is_answered() -> None:
    """Ended tasks stay ended, and an answered task begins again as the attempt that it was; others still wait."""
    schedule = plan(("a",), ("b",), ("c",), ("d", "a", "c"))
    start_all(schedule)
    schedule.record_end(end("c", result="It is red."))
    for id_ in ("a", "b"):
        schedule.suspend(end(id_, TaskOutcome.SUSPENDED), SuspendedTask(1, (), id_.encode()))

    restored = Schedule(4)
    restored.restore(schedule.save(), {"a"})

    assert start_all(restored) == ["a"]
    assert restored.take_suspended("a") == SuspendedTask(1, (), b"a")
    assert restored.count_attempts("a") == 1
    assert [task.result for _, task in restored.list_ended()] == ["It is red."]
    restored.record_end(end("a"))
    assert start_all(restored) == ["d"]
    assert [task.run for task in restored.list_suspended()] == [b"b"]


def test_tasks_that_cannot_wait_end_without_a_result() -> None:
    """When the run cannot pause, what needs a suspended task is blocked."""
    schedule = plan(("a",), ("b", "a"))
    start_all(schedule)
    schedule.suspend(end("a", TaskOutcome.SUSPENDED), SuspendedTask(1, (), b""))

    schedule.end_suspended()

    assert [(planned.id, task.outcome) for planned, task in schedule.list_ended()] == [("a", TaskOutcome.SUSPENDED)]
    assert [task.id for task in schedule.list_blocked()] == ["b"]
