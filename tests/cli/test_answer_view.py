"""An answer as a person sees it."""

import io
from collections.abc import Iterable
from typing import Any, Final

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.internal.enum_type_wrapper import EnumTypeWrapper
from rich.console import Console

from reasoning_grpc.cli.answer_view import AnswerView
from reasoning_grpc.v1 import agent_pb2, completion_pb2, events_pb2, routing_pb2, usage_pb2

Event = events_pb2.StreamCompleteResponse

STEERING: Final = "a\x1b[31mb\x1b]0;owned\x07\u202ec\n\td"
SHOW_CURSOR, HIDE_CURSOR = "\x1b[?25h", "\x1b[?25l"


def _console(out: io.StringIO, *, is_terminal: bool = False) -> Console:
    return Console(
        file=out, force_terminal=is_terminal, color_system=None, highlight=False, markup=False, soft_wrap=True, width=80
    )


def _shown(*, is_terminal: bool) -> str:
    """What the view writes of a text that would steer a terminal."""
    out = io.StringIO()
    view = AnswerView(answer=_console(out, is_terminal=is_terminal))
    view.show(Event(content_delta=events_pb2.ContentDelta(text=STEERING)))
    return out.getvalue()


def _told(*events: Event) -> list[str]:
    """The lines beside the answer, where they are not shown on a terminal."""
    out = io.StringIO()
    with AnswerView(answer=_console(io.StringIO()), aside=_console(out)) as view:
        for event in events:
            view.show(event)
    return out.getvalue().splitlines()


def _step_started(step: int = 1) -> Event:
    return Event(step=step, step_started=events_pb2.StepStarted(max_steps=8))


def _planned(thought: str, action: Any = agent_pb2.NEXT_ACTION_USE_TOOLS) -> Event:
    return Event(step_planned=events_pb2.StepPlanned(thought=thought, next_action=action))


def _tool_started(call_id: str, name: str = "calculator", arguments: str = "{}") -> Event:
    return Event(tool_started=events_pb2.ToolStarted(call_id=call_id, name=name, arguments=arguments))


def _tool_finished(call_id: str, milliseconds: int = 2, **facts: Any) -> Event:
    execution = agent_pb2.ToolExecution(
        call_id=call_id,
        duration=Duration(seconds=milliseconds // 1000, nanos=milliseconds % 1000 * 1_000_000),
        **{"status": agent_pb2.TOOL_STATUS_OK, **facts},
    )
    return Event(tool_finished=events_pb2.ToolFinished(execution=execution))


def _step_finished(outcome: Any = agent_pb2.STEP_OUTCOME_DONE) -> Event:
    return Event(step_finished=events_pb2.StepFinished(outcome=outcome))


def _reasoning_finished(end: Any = agent_pb2.REASONING_END_FINISHED) -> Event:
    finished = agent_pb2.ReasoningFinished(
        reason=end, step_count=2, tool_call_count=1, duration=Duration(seconds=1, nanos=340_000)
    )
    return Event(reasoning_finished=finished)


def _content(text: str) -> Event:
    return Event(content_delta=events_pb2.ContentDelta(text=text))


@pytest.mark.parametrize("character", ["\x1b", "\x07", "\u202e"], ids=["escape", "bell", "right-to-left"])
def test_a_model_cannot_steer_the_terminal(character: str) -> None:
    """Control characters do not reach a terminal; line feeds and tabs do."""
    shown = _shown(is_terminal=True)

    assert character not in shown
    assert "\n" in shown


def test_a_pipe_gets_the_escapes_as_they_are() -> None:
    """What is no terminal gets the text itself."""
    assert "\x1b[31mb" in _shown(is_terminal=False)


def test_settings_that_the_server_changed_are_told() -> None:
    """After the route, each with what was requested and why it is otherwise."""
    changed = completion_pb2.EffectiveSetting(field="agent.max_steps", requested="99", effective="8", reason="No more.")
    route = routing_pb2.RouteDecision(route="reasoning", source=routing_pb2.ROUTE_SOURCE_REQUEST, reason="Asked for.")

    told = _told(Event(started=events_pb2.Started(route_decision=route, effective_settings=[changed])))

    assert told == ["route: reasoning (request: Asked for.)", "agent.max_steps: 8 instead of 99 (No more.)"]


def test_a_run_of_the_agent_is_told_step_by_step() -> None:
    """Thoughts, tools with arguments, time and result, and why and when thinking ended."""
    told = _told(
        _step_started(1),
        _planned("I multiply.\nThen I answer."),
        _tool_started("a", arguments='{"expression":\n "23 * 19"}'),
        _tool_finished("a", result='{"result":"437"}'),
        _step_finished(),
        _step_started(2),
        _planned("", agent_pb2.NEXT_ACTION_FINISH),
        _step_finished(),
        _reasoning_finished(),
    )

    assert told == [
        "step 1 of 8: I multiply.",
        "    Then I answer.",
        '  tool 1: calculator {"expression": "23 * 19"}',
        '  tool 1: ok in 2.0 ms: {"result":"437"}',
        "step 2 of 8: is ready to answer",
        "thought for 1.0 s, 2 steps, 1 tool call: ready to answer",
    ]


def test_of_two_calls_at_once_each_end_has_its_call() -> None:
    """Numbers tell them apart, also where both call the same tool."""
    told = _told(
        _tool_started("a", arguments="1"),
        _tool_started("b", arguments="2"),
        _tool_finished("b", result="two"),
        _tool_finished("a", 1234, status=agent_pb2.TOOL_STATUS_FAILED, error="The tool failed."),
    )

    assert told == [
        "  tool 1: calculator 1",
        "  tool 2: calculator 2",
        "  tool 2: ok in 2.0 ms: two",
        "  tool 1: failed in 1.2 s: The tool failed.",
    ]


@pytest.mark.parametrize(
    ("calls", "words"),
    [
        pytest.param([1], "", id="one call"),
        pytest.param([1, 1], ", 2 attempts", id="a retry"),
        pytest.param([1, 2, 3], ", 3 model calls", id="several calls"),
        pytest.param([1, 2, 2], ", 2 model calls, 3 attempts", id="several calls, one of them again"),
    ],
)
def test_the_summary_counts_model_calls_and_attempts(calls: list[int], words: str) -> None:
    """Where there were more than one; several calls alone are no retries."""
    completed = events_pb2.Completed(attempts=[usage_pb2.Attempt(call=call) for call in calls])

    (told,) = _told(Event(completed=completed))

    assert told.endswith(f"overhead 0.0 ms{words}")


def test_what_tools_take_and_give_is_cut() -> None:
    """Arguments to a line, a result to a few, none of them long."""
    told = _told(
        _tool_started("a", arguments="x" * 500),
        _tool_finished("a", result="\n".join(str(number) * 500 for number in range(9))),
    )

    assert [len(line) for line in told] == [181, 184, 164, 164, 164, 7]
    assert told[0].endswith("x...")
    assert told[4] == f"    {'3' * 157}..."
    assert told[5] == "    ..."


@pytest.mark.parametrize(
    ("outcome", "words"),
    [
        pytest.param(agent_pb2.STEP_OUTCOME_INVALID_PLAN, "its plan could not be read", id="invalid plan"),
        pytest.param(agent_pb2.STEP_OUTCOME_STOPPED, "was stopped", id="stopped"),
    ],
)
def test_a_step_without_a_plan_is_told(outcome: Any, words: str) -> None:
    """When it ends, with what became of it; a step that has told its plan says no more."""
    assert _told(_step_started(3), _step_finished(outcome)) == [f"step 3 of 8: {words}"]
    assert _told(_step_started(3), _planned("Hm."), _step_finished(outcome)) == ["step 3 of 8: Hm."]


def _known(enum: EnumTypeWrapper) -> Iterable[int]:
    """The values that a server sends, and one that only a newer server has."""
    return (*enum.values()[1:], 99)


@pytest.mark.parametrize(
    ("enum", "event"),
    [
        pytest.param(agent_pb2.NextAction, lambda value: _planned("", value), id="next action"),
        pytest.param(agent_pb2.ToolStatus, lambda value: _tool_finished("a", status=value), id="tool status"),
        pytest.param(agent_pb2.ReasoningEnd, _reasoning_finished, id="reasoning end"),
    ],
)
def test_each_value_has_words_of_its_own(enum: EnumTypeWrapper, event: Any) -> None:
    """No two are told alike, and one that is not known is no error."""
    told = ["\n".join(_told(event(value))) for value in _known(enum)]

    assert len(set(told)) == len(told) == len(enum.values())


@pytest.mark.parametrize("is_terminal", [True, False], ids=["terminal", "pipe"])
def test_nothing_of_a_run_steers_the_terminal(is_terminal: bool) -> None:
    """Thoughts, names, arguments, results and errors may be anybody's words."""
    out = io.StringIO()
    with AnswerView(answer=_console(io.StringIO()), aside=_console(out, is_terminal=is_terminal)) as view:
        for event in (
            _step_started(),
            _planned(STEERING),
            _tool_started("a", STEERING, STEERING),
            _tool_finished("a", result=STEERING),
            _tool_started("b", STEERING, STEERING),
            _tool_finished("b", error=STEERING),
        ):
            view.show(event)

    for steering in ("\x1b[31m", "\x1b]0;", "\x07", "\u202e"):
        assert steering not in out.getvalue()
    assert out.getvalue().count("a[31mb]0;ownedc") >= 6


def test_on_a_terminal_something_moves_while_the_agent_works() -> None:
    """What is under way stands on the last line, is gone before the answer, and leaves the cursor as it was."""
    both = io.StringIO()
    seen: list[str] = []
    with AnswerView(answer=_console(both, is_terminal=True), aside=_console(both, is_terminal=True)) as view:
        for event in (
            _step_started(),
            _planned("Two at once."),
            _tool_started("a"),
            _tool_started("b", "clock"),
            _tool_finished("a"),
            _tool_finished("b"),
            _reasoning_finished(),
            _content("437"),
        ):
            view.show(event)
            seen.append(both.getvalue())
            both.seek(0)
            both.truncate()

    for shown, words in zip(
        seen,
        (
            "step 1 of 8",
            "step 1 of 8",
            "step 1 of 8, calculator",
            "step 1 of 8, calculator, clock",
            "step 1 of 8, clock",
            "step 1 of 8",
            "answering",
        ),
        strict=False,
    ):
        assert shown.rstrip().endswith(f" {words}")
    assert HIDE_CURSOR in seen[0]
    assert SHOW_CURSOR in seen[7]
    assert seen[7].endswith("437")
    assert "answering" not in seen[7].rpartition(SHOW_CURSOR)[2]


def test_whatever_ends_the_view_leaves_the_cursor_as_it_was() -> None:
    """Also an interrupt while something moves."""
    out = io.StringIO()

    def interrupted() -> None:
        with AnswerView(aside=_console(out, is_terminal=True)) as view:
            view.show(_step_started())
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()

    assert out.getvalue().rindex(SHOW_CURSOR) > out.getvalue().rindex(HIDE_CURSOR)


def test_where_there_is_no_terminal_nothing_moves() -> None:
    """No spinner, no escapes."""
    assert _told(_step_started(), _planned("Hm."), _tool_started("a"), _tool_finished("a")) == [
        "step 1 of 8: Hm.",
        "  tool 1: calculator {}",
        "  tool 1: ok in 2.0 ms",
    ]
