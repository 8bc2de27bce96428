"""Scripts the answers of the fake upstreams: a scenario names the scripts of `Scripting` as data."""

import copy
import json
from collections.abc import Callable
from typing import Any, Final

from clients.conformance.scenario import BadScenario, Json
from tests.support.upstream import FakeToolCall, FakeUpstream

_PLAN: Final = "plan"
"""The answer is the agent's plan of a step, as JSON. Its usage may stand beside the plan."""
_SCRIPTS: Final[dict[str, Callable[..., Any]]] = {
    "body": FakeUpstream.body,
    "cut_after": FakeUpstream.cut_after,
    "drop": FakeUpstream.drop,
    "error_in_stream": FakeUpstream.error_in_stream,
    "fail": FakeUpstream.fail,
    "hang": FakeUpstream.hang,
    "hang_after": FakeUpstream.hang_after,
    "reply": FakeUpstream.reply,
}


def play(upstream: FakeUpstream, answers: tuple[Json, ...]) -> None:
    """Gives the upstream the answers to its next requests. Raises BadScenario."""
    for answer in answers:
        ((script, arguments),) = copy.deepcopy(dict(answer)).items()
        if script == _PLAN:
            _play_plan(upstream, arguments)
        elif script in _SCRIPTS:
            _play_script(upstream, script, arguments or {})
        else:
            raise BadScenario(f"the fake upstream has no script {script!r}")


def _play_plan(upstream: FakeUpstream, arguments: dict[str, Any]) -> None:
    options = {"usage": arguments.pop("usage")} if "usage" in arguments else {}
    for call in arguments.get("tool_calls", ()):
        call["arguments"] = json.dumps(call["arguments"])
    upstream.reply(json.dumps(arguments), **options)


def _play_script(upstream: FakeUpstream, script: str, arguments: dict[str, Any]) -> None:
    """Calls a script of the fake upstream. `deltas` are the texts of an answer, or how many to send."""
    if script == "body":
        arguments["data"] = arguments["data"].encode()
    deltas = arguments.pop("deltas", ())
    if isinstance(deltas, int):
        arguments["pieces"], deltas = deltas, ()
    if "tool_calls" in arguments:
        arguments["tool_calls"] = [FakeToolCall(**call) for call in arguments["tool_calls"]]
    _SCRIPTS[script](upstream, *deltas, **arguments)
