"""What the fake upstreams answer: the one-line scripts of `Scripting`, told as data."""

import copy
import json
from collections.abc import Callable
from typing import Any, Final

from clients.conformance.scenario import BadScenario, Json
from tests.support.upstream import FakeToolCall, FakeUpstream

_PLAN: Final = "plan"
"""A step of the agent, as JSON; its usage may stand beside it."""
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
    """Tells the upstream what to answer to its next requests. Raises BadScenario."""
    for answer in answers:
        ((script, arguments),) = copy.deepcopy(dict(answer)).items()
        if script == _PLAN:
            _plan(upstream, arguments)
        elif script in _SCRIPTS:
            _play(upstream, script, arguments or {})
        else:
            raise BadScenario(f"the fake upstream knows no {script!r}")


def _plan(upstream: FakeUpstream, arguments: dict[str, Any]) -> None:
    options = {"usage": arguments.pop("usage")} if "usage" in arguments else {}
    for call in arguments.get("tool_calls", ()):
        call["arguments"] = json.dumps(call["arguments"])
    upstream.reply(json.dumps(arguments), **options)


def _play(upstream: FakeUpstream, script: str, arguments: dict[str, Any]) -> None:
    if script == "body":
        arguments["data"] = arguments["data"].encode()
    pieces = arguments.pop("pieces", ())
    if isinstance(pieces, int):
        arguments["pieces"], pieces = pieces, ()
    if "tool_calls" in arguments:
        arguments["tool_calls"] = [FakeToolCall(**call) for call in arguments["tool_calls"]]
    _SCRIPTS[script](upstream, *pieces, **arguments)
