"""Runs of orchestration for tests: an upstream that plans, works on tasks and answers, and readers of its events."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from reasoning_grpc.v1 import completion_pb2, events_pb2, orchestration_pb2, routing_pb2
from tests.support.agent import build_usage, reasoning_request, write_plan_without_tools
from tests.support.upstream import FakeUpstream, Standing

Events = Sequence[events_pb2.StreamCompleteResponse]
_PLANNER: Final = "You split the user's request"
_TASK: Final = "Work on this task alone"
_ANSWER: Final = "on which agents have worked"


def orchestration_request(prompt: str = "hi", **fields: Any) -> completion_pb2.CompleteRequest:
    """Builds a request for orchestration that includes everything which can be included."""
    include = completion_pb2.IncludeOptions(
        reasoning=True, thoughts=True, tool_results=True, model_calls=True, task_results=True
    )
    request = reasoning_request(prompt, **{"include": include, **fields})
    request.routing.mode = routing_pb2.ROUTING_MODE_ORCHESTRATION
    return request


def plan_task(name: str, *needs: str, tools: Sequence[str] = (), goal: str = "") -> dict[str, Any]:
    """Builds a task as a planner writes it. By its goal, `Team` knows its calls."""
    return {"name": name, "goal": goal or f"Find {name}.", "needs": list(needs), "tools": list(tools)}


def write_tasks(*tasks: Mapping[str, Any]) -> str:
    """Writes a plan as a planner writes it."""
    return json.dumps({"tasks": list(tasks)})


@dataclass
class Call:
    """A model call that the upstream received."""

    purpose: str
    """"plan", "step", "result" or "answer"."""
    task: str
    """The name of the task; empty outside of tasks."""
    text: str
    """All texts of its messages."""
    body: Any = field(repr=False)


class Team:
    """Scripts an upstream by what a call is for. Each script is a standing one, and may be replaced."""

    def __init__(self, upstream: FakeUpstream, *tasks: Mapping[str, Any], interval_seconds: float = 0.0) -> None:
        """`tasks` are those of the plan. Each of the upstream's answers has three deltas, with a pause before each."""
        self._interval_seconds = interval_seconds
        self.calls: list[Call] = []
        self.plans = [self.script(write_tasks(*tasks))]
        """The answers to calls for plans, in order; the last one is given again and again."""
        self.step = self.script(write_plan_without_tools())
        self.result = self.script("It is known.")
        self.answer = self.script("The answer.")
        self.choices: dict[tuple[str, str], Callable[[Call], Standing]] = {}
        """Scripts for calls of one purpose and task, before the others."""
        upstream.always.choose(self._choose)

    def script(self, reply: str, **options: Any) -> Standing:
        """Returns a script that gives this reply."""
        script, size = Standing(), max(1, -(-len(reply) // 3))
        deltas = [reply[start : start + size] for start in range(0, len(reply), size)]
        options = {"usage": build_usage(10, 3), "interval_seconds": self._interval_seconds, **options}
        script.reply(*deltas, **options)
        return script

    def fail(self, status: int = 500) -> Standing:
        """Returns a script that fails."""
        script = Standing()
        script.fail(status)
        return script

    def count(self, purpose: str, task: str = "") -> int:
        """Returns how many calls of this purpose and task the upstream received."""
        return sum(call.purpose == purpose and call.task == task for call in self.calls)

    def _choose(self, body: Any) -> Standing:
        call = read_call(body)
        self.calls.append(call)
        if (choose := self.choices.get((call.purpose, call.task))) is not None:
            return choose(call)
        if call.purpose == "plan":
            return self.plans[min(self.count("plan"), len(self.plans)) - 1]
        return {"step": self.step, "result": self.result, "answer": self.answer}[call.purpose]


def read_call(body: Any) -> Call:
    """Reads from a model call what it is for, and for which task it is."""
    texts = [_read_text(message) for message in body["messages"]]
    text = "\n".join(texts)
    task = ""
    if _TASK in text:
        goal = text.partition(_TASK)[2].partition("Find ")[2]
        task = goal.partition(".")[0]
    if _PLANNER in text:
        return Call("plan", "", text, body)
    if _ANSWER in text:
        return Call("answer", "", text, body)
    return Call("step" if "response_format" in body else ("result" if task else "answer"), task, text, body)


def _read_text(message: Mapping[str, Any]) -> str:
    content = message.get("content") or ""
    return content if isinstance(content, str) else "".join(part.get("text", "") for part in content)


def list_tasks(events: Events) -> list[orchestration_pb2.Task]:
    """Returns the ends of the tasks, in their order."""
    return [event.task_finished.task for event in events if event.WhichOneof("kind") == "task_finished"]


def name_outcomes(tasks: Sequence[orchestration_pb2.Task]) -> list[tuple[str, str]]:
    """Returns the id and the outcome of each task, without its prefix."""
    return [(task.id, orchestration_pb2.TaskOutcome.Name(task.outcome)[13:]) for task in tasks]
