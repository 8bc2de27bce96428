"""`python -m bench.orchestration`: four independent tasks, by agents at the same time and by one agent in sequence.

The upstream is scripted: each of its answers takes 0.4 s to the first token and then 15 ms a token, as a hosted model
does. A task is some research: it calls a tool of one second so many times, each in a step of its own, then takes a step
that finishes, and writes a result of 60 tokens. The agent that does the same in sequence takes the same steps for each
task, one task after the other. It needs no plan and no results, so it makes fewer model calls. Both write an answer of
80 tokens.

Also measured: the CPU time of the server for each task, with an upstream that does not wait.
Ends with 1 when four tasks of four tool calls each are answered less than 2.5 times as fast.
"""

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Sequence
from functools import partial
from statistics import median
from typing import Any, Final

from reasoning_grpc.v1 import completion_pb2
from tests.support.agent import agent_config, plan_call, reasoning_request, write_plan
from tests.support.orchestration import Call, Team, orchestration_request, plan_task, read_call
from tests.support.serving import RunningServer, serving
from tests.support.upstream import FakeUpstream, Standing

_LEAST_RATIO: Final = 2.5
_TASKS: Final = "abcd"
_TOKEN_SECONDS: Final = 0.015
_FIRST_TOKENS: Final = 27
"""The first token comes after as long as so many tokens take."""
_TOOL_SECONDS: Final = 1.0
_TOOL_CALLS: Final = (1, 4)
"""The tool calls of each task: a short task, and a long one."""
_PLAN_TOKENS, _STEP_TOKENS, _RESULT_TOKENS, _ANSWER_TOKENS = 60, 30, 60, 80
_STEPS: Final = 20
_PLAN: Final = [plan_task(name, tools=["sleep"]) for name in _TASKS]


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the benchmark, prints the figures, and returns the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=3, help="rounds of both (%(default)s)")
    parser.add_argument("--cpu-rounds", type=int, default=30, help="requests of which the CPU time is taken")
    options = parser.parse_args(arguments)
    return asyncio.run(_measure(options.rounds, options.cpu_rounds))


async def _measure(rounds: int, cpu_rounds: int) -> int:
    ratio = 0.0
    for calls in _TOOL_CALLS:
        together, sequence = [], []
        for _ in range(rounds):
            together.append(await _time(partial(_script_team, calls), orchestration_request()))
            sequence.append(await _time(partial(_script_agent, calls), reasoning_request()))
        ratio = median(sequence) / median(together)
        print(f"four tasks of {calls} tool calls at the same time: {median(together):5.2f} s")
        print(f"the same in sequence by one agent:       {median(sequence):5.2f} s, {ratio:.2f} times as long")
    with_tasks = await _measure_cpu(partial(_script_team, 1), orchestration_request(), cpu_rounds)
    one_task = await _measure_cpu(_script_one, orchestration_request(), cpu_rounds)
    each = (with_tasks - one_task) / (len(_TASKS) - 1)
    print("CPU time of server, client and scripted upstream, without any waiting, for tasks of one tool call:")
    print(f"{with_tasks:.1f} ms a request of four tasks, {each:.1f} ms for each task more")
    agent = await _measure_cpu(partial(_script_agent, 1), reasoning_request(), cpu_rounds)
    print(f"{agent:.1f} ms for the same by one agent in sequence, {agent / len(_TASKS):.1f} ms for each task")
    return 0 if ratio >= _LEAST_RATIO else 1


async def _time(script: Any, request: completion_pb2.CompleteRequest) -> float:
    async with FakeUpstream() as upstream, serving(agent_config(upstream, agent_max_steps=_STEPS)) as running:
        script(upstream, _TOKEN_SECONDS)
        began = time.perf_counter()
        await _complete(running, request)
        return time.perf_counter() - began


async def _measure_cpu(script: Any, request: completion_pb2.CompleteRequest, rounds: int) -> float:
    """Returns the median CPU time of a request in milliseconds, with an upstream and a tool that do not wait."""
    async with FakeUpstream() as upstream, serving(agent_config(upstream, agent_max_steps=_STEPS)) as running:
        times = []
        for number in range(rounds + 3):
            script(upstream, 0.0)
            began = time.process_time()
            await _complete(running, request)
            if number >= 3:  # the first ones load code
                times.append((time.process_time() - began) * 1000)
        return median(times)


async def _complete(running: RunningServer, request: completion_pb2.CompleteRequest) -> None:
    answer = await running.client().complete(request)
    if not answer.message.content[0].text.endswith("word " * _ANSWER_TOKENS):
        raise SystemExit(f"not the expected answer: {answer}")


def _script_team(calls: int, upstream: FakeUpstream, seconds: float) -> None:
    _script_tasks(calls, upstream, seconds, _PLAN)


def _script_one(upstream: FakeUpstream, seconds: float) -> None:
    _script_tasks(1, upstream, seconds, _PLAN[:1])


def _script_tasks(calls: int, upstream: FakeUpstream, seconds: float, plan: Sequence[Any]) -> None:
    team = Team(upstream, *plan)
    team.plans = [_reply(_pad(json.dumps({"tasks": list(plan)}), _PLAN_TOKENS), seconds)]
    team.result, team.answer = _reply(_split(_RESULT_TOKENS), seconds), _reply(_split(_ANSWER_TOKENS), seconds)
    for task in plan:
        steps = [_reply(each, seconds) for each in _write_steps(calls, seconds)]
        team.choices["step", task["name"]] = lambda call, steps=steps: steps[_count_steps(call)]  # type: ignore[misc]


def _script_agent(calls: int, upstream: FakeUpstream, seconds: float) -> None:
    """Scripts one agent: for each task the steps with tools and a step that goes on, then the answer."""
    *tools, _ = _write_steps(calls, seconds)
    go_on = _pad(write_plan(action="continue"), _STEP_TOKENS)
    steps = [_reply(each, seconds) for _ in _TASKS for each in (*tools, go_on)]
    steps[-1] = _reply(_pad(write_plan(), _STEP_TOKENS), seconds)
    answer = _reply(_split(_ANSWER_TOKENS), seconds)
    upstream.always.choose(lambda body: steps[_count_steps(read_call(body))] if "response_format" in body else answer)


def _write_steps(calls: int, seconds: float) -> list[list[str]]:
    """Returns the steps of a task: so many with a tool call, and the one that finishes."""
    wait = _TOOL_SECONDS if seconds else 0.0
    tools = [_pad(write_plan(plan_call("sleep", seconds=wait + number / 1e6)), _STEP_TOKENS) for number in range(calls)]
    return [*tools, _pad(write_plan(), _STEP_TOKENS)]


def _count_steps(call: Call) -> int:
    """Returns how many steps precede this one: each adds an answer of the model to the messages."""
    return sum(message["role"] == "assistant" for message in call.body["messages"])


def _reply(deltas: Sequence[str], seconds: float) -> Standing:
    script = Standing()
    script.reply(*deltas, interval_seconds=seconds)
    return script


def _split(tokens: int) -> list[str]:
    """Returns an answer of so many tokens, before which the upstream waits."""
    return [" "] * _FIRST_TOKENS + ["word "] * tokens


def _pad(text: str, tokens: int) -> list[str]:
    """Returns a text in so many deltas, before which the upstream waits."""
    size = -(-len(text) // tokens)
    return [" "] * _FIRST_TOKENS + [text[start : start + size] for start in range(0, len(text), size)]


if __name__ == "__main__":
    sys.exit(main())
