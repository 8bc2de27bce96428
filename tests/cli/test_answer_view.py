"""`AnswerView` shows an answer and the agent's steps to a person, on a terminal or in a pipe."""

import io
from collections.abc import Iterable
from typing import Any, Final

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.internal.enum_type_wrapper import EnumTypeWrapper
from rich.console import Console

from reasoning_grpc.cli.answer_view import AnswerView
from reasoning_grpc.v1 import agent_pb2, completion_pb2, events_pb2, messages_pb2, routing_pb2, usage_pb2

Event = events_pb2.StreamCompleteResponse

CONTROLS: Final = "a\x1b[31mb\x1b]0;owned\x07\u202ec\n\td"
SHOW_CURSOR, HIDE_CURSOR = "\x1b[?25h", "\x1b[?25l"


def create_console(out: io.StringIO, *, is_terminal: bool = False) -> Console:
    return Console(
        file=out, force_terminal=is_terminal, color_system=None, highlight=False, markup=False, soft_wrap=True, width=80
    )


def show_controls(*, is_terminal: bool) -> str:
    """Returns what the view prints of a text with control characters."""
    out = io.StringIO()
    view = AnswerView(answer=create_console(out, is_terminal=is_terminal))
    view.show(Event(content_delta=events_pb2.ContentDelta(text=CONTROLS)))
    return out.getvalue()


def show_aside(*events: Event) -> list[str]:
    """Returns the lines beside the answer that the view prints without a terminal."""
    out = io.StringIO()
    with AnswerView(answer=create_console(io.StringIO()), aside=create_console(out)) as view:
        for event in events:
            view.show(event)
    return out.getvalue().splitlines()


def a_step_start(step: int = 1) -> Event:
    return Event(step=step, step_started=events_pb2.StepStarted(max_steps=8))


def a_plan(thought: str, action: Any = agent_pb2.NEXT_ACTION_USE_TOOLS) -> Event:
    return Event(step_planned=events_pb2.StepPlanned(thought=thought, next_action=action))


def a_tool_start(call_id: str, name: str = "calculator", arguments: str = "{}") -> Event:
    return Event(tool_started=events_pb2.ToolStarted(call_id=call_id, name=name, arguments=arguments))


def a_tool_result(call_id: str, milliseconds: int = 2, **facts: Any) -> Event:
    execution = agent_pb2.ToolExecution(
        call_id=call_id,
        duration=Duration(seconds=milliseconds // 1000, nanos=milliseconds % 1000 * 1_000_000),
        **{"status": agent_pb2.TOOL_STATUS_OK, **facts},
    )
    return Event(tool_finished=events_pb2.ToolFinished(execution=execution))


def a_step_end(outcome: Any = agent_pb2.STEP_OUTCOME_DONE) -> Event:
    return Event(step_finished=events_pb2.StepFinished(outcome=outcome))


def a_reasoning_end(end: Any = agent_pb2.REASONING_END_FINISHED) -> Event:
    finished = agent_pb2.ReasoningFinished(
        reason=end, step_count=2, tool_call_count=1, duration=Duration(seconds=1, nanos=340_000)
    )
    return Event(reasoning_finished=finished)


def a_content_delta(text: str) -> Event:
    return Event(content_delta=events_pb2.ContentDelta(text=text))


@pytest.mark.parametrize("character", ["\x1b", "\x07", "\u202e"], ids=["escape", "bell", "right-to-left"])
def test_a_model_cannot_control_the_terminal(character: str) -> None:
    """Control characters of an answer do not reach a terminal, but line feeds and tabs do."""
    shown = show_controls(is_terminal=True)

    assert character not in shown
    assert "\n" in shown


def test_a_pipe_gets_the_text_unchanged() -> None:
    """A pipe gets the text with its control characters."""
    assert "\x1b[31mb" in show_controls(is_terminal=False)


def test_changed_settings_are_shown() -> None:
    """Each setting that takes effect otherwise than requested is shown after the route, with the reason."""
    changed = completion_pb2.EffectiveSetting(field="agent.max_steps", requested="99", effective="8", reason="No more.")
    route = routing_pb2.RouteDecision(route="reasoning", source=routing_pb2.ROUTE_SOURCE_REQUEST, reason="Asked for.")

    lines = show_aside(Event(started=events_pb2.Started(route_decision=route, effective_settings=[changed])))

    assert lines == ["route: reasoning (request: Asked for.)", "agent.max_steps: 8 instead of 99 (No more.)"]


def test_a_run_that_waits_is_shown() -> None:
    """A run that waits for its caller says until when, and for what."""
    paused = messages_pb2.PausedRun(state=b"secret state", approval_call_ids=["c1"])
    paused.expire_time.FromJsonString("2026-11-30T12:34:56Z")

    (line,) = show_aside(Event(run_paused=paused))

    assert line == (
        "the run waits until 2026-11-30 12:34 UTC for results of its tool calls, 1 of which need approval; "
        "a client can go on"
    )


def test_a_run_of_the_agent_is_shown_step_by_step() -> None:
    """The lines have thoughts, tools with arguments, time and result, and when and why thinking ended."""
    lines = show_aside(
        a_step_start(1),
        a_plan("I multiply.\nThen I answer."),
        a_tool_start("a", arguments='{"expression":\n "23 * 19"}'),
        a_tool_result("a", result='{"result":"437"}'),
        a_step_end(),
        a_step_start(2),
        a_plan("", agent_pb2.NEXT_ACTION_FINISH),
        a_step_end(),
        a_reasoning_end(),
    )

    assert lines == [
        "step 1 of 8: I multiply.",
        "    Then I answer.",
        '  tool 1: calculator {"expression": "23 * 19"}',
        '  tool 1: ok in 2.0 ms: {"result":"437"}',
        "step 2 of 8: is ready to answer",
        "thought for 1.0 s, 2 steps, 1 tool call: ready to answer",
    ]


def test_concurrent_calls_are_numbered() -> None:
    """Numbers match each result with its call, also when two calls of the same tool run at the same time."""
    lines = show_aside(
        a_tool_start("a", arguments="1"),
        a_tool_start("b", arguments="2"),
        a_tool_result("b", result="two"),
        a_tool_result("a", 1234, status=agent_pb2.TOOL_STATUS_FAILED, error="The tool failed."),
    )

    assert lines == [
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
    """The summary has the number of model calls and of attempts when there is more than one."""
    completed = events_pb2.Completed(attempts=[usage_pb2.Attempt(call=call) for call in calls])

    (line,) = show_aside(Event(completed=completed))

    assert line.endswith(f"overhead 0.0 ms{words}")


def test_arguments_and_results_are_shortened() -> None:
    """Arguments are shortened to one line, and a result to a few lines, none of them long."""
    lines = show_aside(
        a_tool_start("a", arguments="x" * 500),
        a_tool_result("a", result="\n".join(str(number) * 500 for number in range(9))),
    )

    assert [len(line) for line in lines] == [181, 184, 164, 164, 164, 7]
    assert lines[0].endswith("x...")
    assert lines[4] == f"    {'3' * 157}..."
    assert lines[5] == "    ..."


@pytest.mark.parametrize(
    ("outcome", "text"),
    [
        pytest.param(agent_pb2.STEP_OUTCOME_INVALID_PLAN, "its plan could not be read", id="invalid plan"),
        pytest.param(agent_pb2.STEP_OUTCOME_STOPPED, "was stopped", id="stopped"),
    ],
)
def test_a_step_without_a_plan_is_shown_at_its_end(outcome: Any, text: str) -> None:
    """A step that ends without a plan is shown with its outcome; a step with a plan prints nothing at its end."""
    assert show_aside(a_step_start(3), a_step_end(outcome)) == [f"step 3 of 8: {text}"]
    assert show_aside(a_step_start(3), a_plan("Hm."), a_step_end(outcome)) == ["step 3 of 8: Hm."]


def list_values(enum: EnumTypeWrapper) -> Iterable[int]:
    """Returns the values that a server sends, and one of a newer server."""
    return (*enum.values()[1:], 99)


@pytest.mark.parametrize(
    ("enum", "event"),
    [
        pytest.param(agent_pb2.NextAction, lambda value: a_plan("", value), id="next action"),
        pytest.param(agent_pb2.ToolStatus, lambda value: a_tool_result("a", status=value), id="tool status"),
        pytest.param(agent_pb2.ReasoningEnd, a_reasoning_end, id="reasoning end"),
    ],
)
def test_each_value_has_its_own_text(enum: EnumTypeWrapper, event: Any) -> None:
    """Each value of an enum has a different text, and an unknown value has one, too."""
    texts = ["\n".join(show_aside(event(value))) for value in list_values(enum)]

    assert len(set(texts)) == len(texts) == len(enum.values())


@pytest.mark.parametrize("is_terminal", [True, False], ids=["terminal", "pipe"])
def test_a_run_cannot_control_the_terminal(is_terminal: bool) -> None:
    """Control characters in thoughts, names, arguments, results and errors are not printed."""
    out = io.StringIO()
    with AnswerView(answer=create_console(io.StringIO()), aside=create_console(out, is_terminal=is_terminal)) as view:
        for event in (
            a_step_start(),
            a_plan(CONTROLS),
            a_tool_start("a", CONTROLS, CONTROLS),
            a_tool_result("a", result=CONTROLS),
            a_tool_start("b", CONTROLS, CONTROLS),
            a_tool_result("b", error=CONTROLS),
        ):
            view.show(event)

    for steering in ("\x1b[31m", "\x1b]0;", "\x07", "\u202e"):
        assert steering not in out.getvalue()
    assert out.getvalue().count("a[31mb]0;ownedc") >= 6


def test_a_terminal_has_a_spinner_while_the_agent_works() -> None:
    """The last line shows the work in progress, disappears before the answer, and leaves the cursor on."""
    both = io.StringIO()
    seen: list[str] = []
    with AnswerView(
        answer=create_console(both, is_terminal=True), aside=create_console(both, is_terminal=True)
    ) as view:
        for event in (
            a_step_start(),
            a_plan("Two at once."),
            a_tool_start("a"),
            a_tool_start("b", "clock"),
            a_tool_result("a"),
            a_tool_result("b"),
            a_reasoning_end(),
            a_content_delta("437"),
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


def test_an_interrupt_leaves_the_cursor_on() -> None:
    """An interrupt during the spinner ends the view and leaves the cursor on."""
    out = io.StringIO()

    def interrupt() -> None:
        with AnswerView(aside=create_console(out, is_terminal=True)) as view:
            view.show(a_step_start())
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupt()

    assert out.getvalue().rindex(SHOW_CURSOR) > out.getvalue().rindex(HIDE_CURSOR)


def test_without_a_terminal_there_is_no_spinner() -> None:
    """Without a terminal the view prints only lines, without spinner and escapes."""
    assert show_aside(a_step_start(), a_plan("Hm."), a_tool_start("a"), a_tool_result("a")) == [
        "step 1 of 8: Hm.",
        "  tool 1: calculator {}",
        "  tool 1: ok in 2.0 ms",
    ]
