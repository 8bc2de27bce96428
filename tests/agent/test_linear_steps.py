"""The work of a step, counted as function calls and as messages: it does not grow with the steps before it."""

import asyncio
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from types import FrameType
from typing import Any, Final

import pytest

import reasoning_grpc
from reasoning_grpc.agent import Agent, AgentLimits, AgentPrompts, AgentSpans, load_agent_prompt
from reasoning_grpc.agent.calls import AgentCalls
from reasoning_grpc.agent.plan import Plan
from reasoning_grpc.agent.transcript import Transcript
from reasoning_grpc.domain import Message, NextAction, Prices, ReasoningEnd, Role
from reasoning_grpc.domain.events import ContentDelta, ReasoningFinished, StepStarted, ToolCallDelta
from reasoning_grpc.engine.ledger import Ledger
from reasoning_grpc.llm import ContextWindows, ModelCall
from tests.support.agent import plan_call, write_plan
from tests.support.factories import a_call, a_context, a_message, a_request
from tests.support.models import Script, ScriptedModel, a_model, make_resilient, script_answer
from tests.support.toolbox import open_toolbox, tool_entry

STEPS: Final = 40
OWN_FILES: Final = str(Path(reasoning_grpc.__file__).parent)
LIMITS: Final = AgentLimits(max_steps=STEPS, max_tool_calls=STEPS, max_tokens=10**9, max_cost_nano_usd=10**9)
"""Limits of tokens and cost, for which each step reads what all calls before it used."""
PROMPTS: Final = AgentPrompts(
    plan=load_agent_prompt("plan"), native=load_agent_prompt("native"), answer=load_agent_prompt("answer")
)


@dataclass
class Work:
    """The calls of functions that our own code has made or received."""

    calls: int = 0


@contextmanager
def count_calls() -> Iterator[Work]:
    """Counts the calls of our own functions, and the calls of built-in functions from them, in this thread."""
    work = Work()

    def record(frame: FrameType, event: str, _argument: Any) -> None:
        work.calls += event in ("call", "c_call") and frame.f_code.co_filename.startswith(OWN_FILES)

    sys.setprofile(record)
    try:
        yield work
    finally:
        sys.setprofile(None)


def plan_in_json(number: int) -> Script:
    """Scripts a plan in JSON that calls a tool."""
    plan = write_plan(plan_call("weather_without_thread", city=f"City {number:03}"), thought=f"Thought {number:03}.")
    return script_answer(ContentDelta(plan[:20]), ContentDelta(plan[20:]))


def plan_natively(number: int) -> Script:
    """Scripts a plan as a call of a tool."""
    arguments = json.dumps({"city": f"City {number:03}"})
    return script_answer("I look.", ToolCallDelta(f"id_{number}", 0, "weather_without_thread", arguments))


@pytest.mark.parametrize(
    ("write", "facts"),
    [
        pytest.param(plan_in_json, {}, id="JSON"),
        pytest.param(plan_in_json, {"context_window_tokens": 1_000_000}, id="JSON in a known window"),
        pytest.param(plan_natively, {"native_tools": True, "context_window_tokens": 1_000_000}, id="tool calls"),
    ],
)
async def test_a_late_step_makes_as_many_calls_as_an_early_one(write: Any, facts: dict[str, Any]) -> None:
    """The last steps with a tool make the calls of the first ones: nothing is read or added up again.

    A timer that fires in a slow step makes one more call, so the step with the fewest calls counts.
    """
    model = ScriptedModel(
        *map(write, range(STEPS)),
        script_answer("The answer."),
        models=(a_model(prices=Prices(input=1, output=1), **facts),),
    )
    windows = ContextWindows(model, unknown_window_tokens=8192)
    ledger = Ledger(
        response_id="r",
        arrival_time=0.0,
        clock=asyncio.get_running_loop().time,
    )
    calls_before_step: list[int] = []
    async with open_toolbox(tool_entry("weather_without_thread")) as box:
        agent = Agent(make_resilient(model), windows, box, LIMITS, PROMPTS, AgentSpans(None))
        run = await agent.create_run(a_request(), a_call(), a_context(), ledger.account)
        with count_calls() as work:
            async for event in run.events():
                ledger.record(event)
                if isinstance(event, StepStarted):
                    calls_before_step.append(work.calls)
                if isinstance(event, ReasoningFinished):
                    assert (event.reason, event.tool_call_count) == (ReasoningEnd.MAX_STEPS, STEPS)

    calls_of_steps = [after - before for before, after in pairwise(calls_before_step)]
    assert len(calls_of_steps) == STEPS - 1
    assert min(calls_of_steps[-5:]) == min(calls_of_steps[2:7])


class CountingModel(ScriptedModel):
    """Keeps the messages whose tokens it has counted."""

    def __init__(self, **facts: Any) -> None:
        super().__init__(models=(a_model(**facts),))
        self.counted: list[Message] = []

    def count_tokens(self, call: ModelCall) -> int:
        """See `LanguageModel.count_tokens`."""
        self.counted += call.messages
        return super().count_tokens(call)


async def test_the_tokens_of_a_message_are_counted_once_a_run() -> None:
    """Where a prompt has more bytes than its model's window has tokens, each step counts only what is new."""
    model = CountingModel(context_window_tokens=16_384)
    direct = a_call(messages=(a_message("x" * 20_000),))
    windows = ContextWindows(model, unknown_window_tokens=8192)
    transcript = Transcript(direct.messages, "Think.", native=False)
    info = model.describe("fake")
    calls = AgentCalls(direct, info, transcript, windows, tools=(), plan_request=None, fits=True)

    for number in range(STEPS):
        call = await calls.build_step_call(None)
        plan = Plan(f"Thought {number}.", NextAction.CONTINUE)
        transcript.record_step(plan, a_message(write_plan(), Role.ASSISTANT), ())

    assert call.messages == transcript.messages()[:-2]
    assert len(model.counted) == len(call.messages)
