"""The judge of the conformance suite finds every problem of a result, and reports none for a correct result."""

import asyncio
import sys
from collections.abc import Callable
from itertools import accumulate
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict, ParseDict

from clients.conformance.clients import Client, RunnerFailed, run
from clients.conformance.judge import find_problems, join_deltas
from clients.conformance.matching import find_differences
from clients.conformance.scenario import BadScenario, Scenario, read_scenarios
from reasoning_grpc.client import Folder
from reasoning_grpc.v1 import events_pb2

BY_NAME = {scenario.name: scenario for scenario in read_scenarios()}
Change = Callable[[dict[str, Any]], object]


def number_events(*events: dict[str, Any]) -> list[dict[str, Any]]:
    """Gives the events of a stream their sequence; a heartbeat repeats the one of the event before it."""
    numbers = accumulate(int("heartbeat" not in event) for event in events)
    return [{**event, "sequence": number - 1} for event, number in zip(events, numbers, strict=True)]


def add_heartbeat(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Returns the stream with a heartbeat after its first event."""
    return number_events(events[0], {"heartbeat": {}}, *events[1:])


def renumber(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Returns the stream with a sequence of its own for each event, also for heartbeats."""
    return [{**event, "sequence": index} for index, event in enumerate(events)]


def build_stream_result() -> dict[str, Any]:
    """Builds a result that conforms to the scenario `stream-text`."""
    usage = {
        "inputTokens": 11,
        "cachedInputTokens": 3,
        "outputTokens": 7,
        "reasoningTokens": 2,
        "totalTokens": 18,
        "source": "USAGE_SOURCE_PROVIDER",
    }
    route = {"route": "passthrough", "mode": "ROUTING_MODE_PASSTHROUGH", "source": "ROUTE_SOURCE_DEFAULT"}
    completed = {
        "finishReason": "FINISH_REASON_STOP",
        "providerFinishReason": "stop",
        "model": "stream-text",
        "usage": usage,
        "modelCalls": [
            {"call": 1, "purpose": "MODEL_CALL_PURPOSE_ANSWER", "model": "stream-text", "usage": usage},
        ],
    }
    events = number_events(
        {"started": {"responseId": "r", "model": "stream-text", "routeDecision": route}},
        {"contentDelta": {"text": "Hel"}},
        {"contentDelta": {"text": "lo"}},
        {"completed": completed},
    )
    folder = Folder()
    for event in events:
        folder.add(ParseDict(event, events_pb2.StreamCompleteResponse()))
    return {"name": "stream-text", "events": events, "unknown_events": 0, "folded": MessageToDict(folder.response())}


def build_error_result(**changes: Any) -> dict[str, Any]:
    """Builds a result that conforms to the scenario `empty-request`, with changes to its error."""
    error: dict[str, Any] = {
        "code": "INVALID_ARGUMENT",
        "message": (
            "The request has invalid fields; see the field violations. messages: At least one message is required."
        ),
        "reason": "INVALID_FIELD",
        "domain": "reasoning-grpc",
        "metadata": {},
        "request_id": "req_1",
        "retry_after_seconds": None,
        "violations": [{"field": "messages", "description": "At least one message is required."}],
        "interruption": None,
        "route_decision": None,
    }
    return {"name": "empty-request", "error": {**error, **changes}}


def test_a_correct_result_has_no_problems() -> None:
    """A stream, its fold and an error have no problems when they match their scenarios."""
    assert find_problems(BY_NAME["stream-text"], build_stream_result()) == []
    assert find_problems(BY_NAME["empty-request"], build_error_result()) == []


STREAM_CHANGES: dict[str, Change] = {
    "a text that differs": lambda result: result["events"][1]["contentDelta"].update(text="Hal"),
    "two kinds in one event": lambda result: result["events"][1].update(heartbeat={}),
    "a heartbeat that was not requested": lambda result: result.update(events=add_heartbeat(result["events"])),
    "an event missing": lambda result: result["events"].pop(1),
    "a heartbeat with a number of its own": lambda result: result.update(
        events=renumber(add_heartbeat(result["events"]))
    ),
    "a gap in the sequence": lambda result: result["events"][3].update(sequence=4),
    "no response id": lambda result: result["events"][0]["started"].pop("responseId"),
    "no started event": lambda result: result["events"].pop(0),
    "no completed event": lambda result: result["events"].pop(),
    "an event without a kind that is not counted": lambda result: result["events"][1].pop("contentDelta"),
    "another finish reason": lambda result: result["events"][3]["completed"].update(finishReason=2),
    "a field that the proto does not have": lambda result: result["events"][1].update(newField=1),
    "a wrong count of unknown events": lambda result: result.update(unknown_events=1),
    "no count of unknown events": lambda result: result.pop("unknown_events"),
    "no fold": lambda result: result.pop("folded"),
    "a fold without its id": lambda result: result["folded"].pop("responseId"),
    "a fold with too much": lambda result: result["folded"].update(traceId="0af7"),
    "a fold of another text": lambda result: result["folded"]["message"]["content"][0].update(text="Hel"),
    "an error beside the stream": lambda result: result.update(error=build_error_result()["error"]),
    "a failure": lambda result: result.update(failure="no such method"),
    "an unknown key": lambda result: result.update(more=1),
    "a response beside the stream": lambda result: result.update(response={}),
    "a text instead of events": lambda result: result.update(events="nonsense"),
    "a number instead of events": lambda result: result.update(events=1),
    "a list instead of an answer": lambda result: result.update(folded=[]),
}


@pytest.mark.parametrize("change", STREAM_CHANGES.values(), ids=STREAM_CHANGES)
def test_the_judge_reports_a_changed_stream(change: Change) -> None:
    """Each mistake that a client may make in a stream is a problem."""
    result = build_stream_result()

    change(result)

    assert find_problems(BY_NAME["stream-text"], result) != []


ERROR_CHANGES: dict[str, dict[str, Any]] = {
    "another code": {"code": "INTERNAL"},
    "no reason": {"reason": ""},
    "another domain": {"domain": "elsewhere"},
    "no request id": {"request_id": ""},
    "no violations": {"violations": []},
    "another field": {"violations": [{"field": "model", "description": "x"}]},
    "an interruption": {"interruption": {"modelCallCount": 1}},
    "an interruption with an unknown field": {"interruption": {"nothing": 1}},
    "a key too many": {"details": []},
    "a text instead of violations": {"violations": "messages"},
    "nonsense for details": {"route_decision": "nonsense"},
}


@pytest.mark.parametrize("changes", ERROR_CHANGES.values(), ids=ERROR_CHANGES)
def test_the_judge_reports_a_changed_error(changes: dict[str, Any]) -> None:
    """Each mistake that a client may make in an error is a problem."""
    assert find_problems(BY_NAME["empty-request"], build_error_result(**changes)) != []


ERROR_OF_GRPC = {
    "code": "CANCELLED",
    "message": "m",
    "retry_after_seconds": None,
    "interruption": None,
    "route_decision": None,
}


@pytest.mark.parametrize(
    ("read", "conforms"),
    [
        ({}, True),
        ({"domain": "reasoning-grpc"}, False),
        ({"request_id": "req_1"}, False),
        ({"metadata": {"a": "b"}}, False),
    ],
)
def test_a_call_that_grpc_ended_has_no_details(read: dict[str, Any], conforms: bool) -> None:
    """When the client itself cancelled the call, the server sent no details, so the result may have none."""
    nothing = {"reason": "", "domain": "", "metadata": {}, "request_id": "", "violations": []}
    error = {**ERROR_OF_GRPC, **nothing, **read}

    assert (find_problems(BY_NAME["cancel-at-once"], {"name": "cancel-at-once", "error": error}) == []) is conforms


def test_a_timeout_of_the_upstream_needs_details() -> None:
    """A timeout of the upstream has the code of the client's own deadline, but must have a reason and details."""
    error = {
        **build_error_result()["error"],
        "code": "DEADLINE_EXCEEDED",
        "reason": "UPSTREAM_TIMEOUT",
        "request_id": "",
    }

    found = find_problems(BY_NAME["upstream-timeout"], {"name": "upstream-timeout", "error": error})

    assert "error: domain 'reasoning-grpc', request id ''" in found


def test_the_judge_reports_a_result_of_the_wrong_kind() -> None:
    """An answer in place of an error, an error in place of an answer, and a missing result are problems."""
    assert find_problems(BY_NAME["empty-request"], {"name": "empty-request", "response": {}}) != []
    assert find_problems(BY_NAME["stream-text (Complete)"], build_error_result()) != []
    assert find_problems(BY_NAME["empty-request"], None) == ["there is no result"]


@pytest.mark.parametrize(
    ("expected", "actual", "differs"),
    [
        ({"a": 1}, {"a": 1, "b": 2}, False),
        ({"a": 1}, {"a": "1"}, False),
        ({"a": 1}, {"a": "2"}, True),
        ({"a": 0}, {"a": False}, True),
        ({"a": True}, {"a": True}, False),
        ({"a": "<any>"}, {"a": ""}, True),
        ({"a": "<any>"}, {"a": 0.0}, False),
        ({"a": "<absent>"}, {}, False),
        ({"a": "<absent>"}, {"a": {}}, False),
        ({"a": "<absent>"}, {"a": [1]}, True),
        ({"a": "<begins> de"}, {"a": "default"}, False),
        ({"a": "<begins> de"}, {"a": "a default"}, True),
        ({"a": [1, 2]}, {"a": [1]}, True),
        ({"a": []}, {"a": []}, False),
        ({"a": {"b": 1}}, {"a": None}, True),
    ],
)
def test_only_expected_fields_are_compared(expected: Any, actual: Any, differs: bool) -> None:
    """A field that the expectation names must match; any other field may have any value."""
    assert bool(list(find_differences(expected, actual, "x"))) is differs


def test_deltas_are_joined_only_where_the_fold_joins_them() -> None:
    """Deltas are joined when they have the same call and kind, and the first one has no signature."""
    events = number_events(
        {"call": 1, "contentDelta": {"text": "a"}},
        {"call": 1, "contentDelta": {"text": "b", "signature": "s"}},
        {"call": 1, "contentDelta": {"text": "c"}},
        {"call": 1, "contentDelta": {"text": "d", "refusal": True}},
        {"call": 2, "contentDelta": {"text": "e", "refusal": True}},
        {"call": 2, "reasoningDelta": {"text": "f"}},
        {"call": 2, "reasoningDelta": {"redacted": "AA=="}},
        {"call": 2, "toolCallDelta": {"callId": "1", "arguments": "{"}},
        {"call": 2, "toolCallDelta": {"callId": "1", "arguments": "}"}},
        {"call": 2, "toolCallDelta": {"callId": "2", "arguments": "{}"}},
    )

    found = join_deltas(ParseDict(event, events_pb2.StreamCompleteResponse()) for event in events)

    texts = [
        event.content_delta.text or event.reasoning_delta.text or event.tool_call_delta.arguments for event in found
    ]
    assert texts == ["ab", "c", "d", "e", "f", "", "{}", "{}"]


BAD_SCENARIOS = {
    "an unknown key": "- {name: x, title: x, call: {rpc: Complete}, expect: {}, more: 1}",
    "an unknown key of the call": "- {name: x, title: x, call: {rpc: Complete, more: 1}, expect: {}}",
    "no call": "- {name: x, title: x, expect: {}}",
    "two scenarios of one name": "- &x {name: x, title: x, call: {rpc: Complete}, expect: {}}\n- *x",
}


@pytest.mark.parametrize("text", BAD_SCENARIOS.values(), ids=BAD_SCENARIOS)
def test_scenarios_are_read_strictly(text: str, tmp_path: Path) -> None:
    """An unknown key is an error, because nobody would check a misspelt expectation."""
    tmp_path.joinpath("bad.yaml").write_text(text)

    with pytest.raises(BadScenario):
        read_scenarios(tmp_path)


WRITES = "import sys, pathlib; pathlib.Path(sys.argv[2]).write_text({!r})"
BROKEN_RUNNERS = {
    "fails": "raise SystemExit(3)",
    "writes nothing": "pass",
    "writes no JSON": WRITES.format("nonsense"),
    "writes a list": WRITES.format("[]"),
    "writes no results": WRITES.format("{}"),
    "writes results without names": WRITES.format('{"results": [{}]}'),
    "writes a number as a result": WRITES.format('{"results": [1]}'),
    "writes a result twice": WRITES.format('{"results": [{"name": "x"}, {"name": "x"}]}'),
}


@pytest.mark.process
@pytest.mark.parametrize("code", BROKEN_RUNNERS.values(), ids=BROKEN_RUNNERS)
def test_a_runner_that_writes_no_results_has_failed(code: str) -> None:
    """A runner fails when it ends with an error, or does not write one result for each scenario."""
    client = Client("broken", needs=(), command=(sys.executable, "-c", code), example=())

    with pytest.raises(RunnerFailed):
        asyncio.run(run(client, {}))


def test_a_twin_has_models_of_its_own() -> None:
    """A twin has its own models; with the same models it would receive the answers to the streamed scenario."""
    fallback: Scenario = BY_NAME["fallback (Complete)"]

    assert list(fallback.upstreams) == ["fallback-unary", "fallback-second-unary"]
    assert fallback.upstreams["fallback-unary"].entry == {"fallback_models": ["fallback-second-unary"]}
    assert fallback.expect.response is not None
    assert fallback.expect.response["model"] == "fallback-second-unary"
    (setting,) = fallback.expect.response["effective_settings"]
    assert (setting["requested"], setting["effective"]) == ("fallback-unary", "fallback-second-unary")
