"""Labelled prompts: the file's format, and the set that comes along."""

import json
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest

from reasoning_grpc.evaluation.cases import BadCases, Case, parse_cases, read_cases, shipped_cases
from reasoning_grpc.v1 import messages_pb2
from reasoning_grpc.v1.completion_pb2 import CompleteRequest
from tests.support.serving import RunningServer

USER: Final = {"role": "user", "content": "hi"}
CALL: Final = {"id": "c1", "name": "clock", "arguments": {}}


def a_line(**overrides: Any) -> bytes:
    """A line of a file that is right but for the overrides."""
    return json.dumps({"id": "a", "route": "passthrough", "messages": [USER], **overrides}).encode()


def test_a_case_is_read(tmp_path: Path) -> None:
    """Text, tool calls and results become the messages of a request; blank lines mean nothing."""
    file = tmp_path / "cases.jsonl"
    call = {"role": "assistant", "content": "Let me see.", "tool_calls": [CALL | {"arguments": {"zone": "Zürich"}}]}
    messages = [
        {"role": "system", "content": "Be brief."},
        USER,
        call,
        {"role": "tool", "call_id": "c1", "content": "4"},
    ]
    file.write_bytes(b"\n" + a_line(messages=messages, tags=["x", "y"]) + b"\r\n\n" + a_line(id="b"))

    first, second = read_cases(file)

    part = messages_pb2.Part
    assert (first.id, first.route, first.tags, second.id, second.tags) == ("a", "passthrough", ("x", "y"), "b", ())
    assert first.messages == (
        messages_pb2.Message(role=messages_pb2.ROLE_SYSTEM, content=[part(text="Be brief.")]),
        messages_pb2.Message(role=messages_pb2.ROLE_USER, content=[part(text="hi")]),
        messages_pb2.Message(
            role=messages_pb2.ROLE_ASSISTANT,
            content=[
                part(text="Let me see."),
                part(tool_call=messages_pb2.ToolCall(id="c1", name="clock", arguments='{"zone": "Zürich"}')),
            ],
        ),
        messages_pb2.Message(
            role=messages_pb2.ROLE_TOOL,
            content=[part(tool_result=messages_pb2.ToolResult(call_id="c1", content="4"))],
        ),
    )


NAME_RULE: Final = "must be 1 to 64 of letters, digits, underscore, dot and dash"


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        pytest.param(b"{", "is not JSON: Expecting property name enclosed in double quotes at column 2", id="cut"),
        pytest.param(b"\xff", "is not UTF-8", id="not UTF-8"),
        pytest.param(b"[" * 200_000, "is not JSON that can be read", id="too deep"),
        pytest.param(b"[]", "must be an object", id="a list"),
        pytest.param(b'{"id": "a", "route": "r"}', "messages: is missing", id="no messages"),
        pytest.param(a_line(id=""), f"id: {NAME_RULE}", id="empty id"),
        pytest.param(a_line(route="a b"), f"route: {NAME_RULE}", id="a space in the route"),
        pytest.param(a_line(label=1), "label: is not a known key", id="unknown key"),
        pytest.param(a_line(**{"\n": 1}), '"\\n": is not a known key', id="a key that would break the line"),
        pytest.param(a_line(tags="x"), f"tags: must be a list of texts, each of which {NAME_RULE}", id="tags"),
        pytest.param(a_line(tags=["x", "x"]), "tags: must not repeat themselves", id="a tag twice"),
        pytest.param(a_line(messages=[]), "messages: must be a list, and not empty", id="empty messages"),
        pytest.param(a_line(messages=["hi"]), "messages[0]: must be an object", id="a text as message"),
        pytest.param(
            a_line(messages=[{"role": "bot", "content": "hi"}]),
            "messages[0].role: must be one of system, user, assistant, tool",
            id="unknown role",
        ),
        pytest.param(
            a_line(messages=[{"role": [], "content": "hi"}]),
            "messages[0].role: must be one of system, user, assistant, tool",
            id="a role that is no text",
        ),
        pytest.param(a_line(messages=[{"role": "user"}]), "messages[0].content: is missing", id="no content"),
        pytest.param(
            a_line(messages=[{"role": "user", "content": " "}]),
            "messages[0].content: must be a text, and not empty",
            id="blank content",
        ),
        pytest.param(
            a_line(messages=[{"role": "user", "content": "\ud83d"}]),
            "messages[0].content: is not Unicode text",
            id="half of an emoji",
        ),
        pytest.param(
            a_line(messages=[USER | {"tool_calls": [CALL]}]),
            "messages[0].tool_calls: is not a known key",
            id="a user's tool call",
        ),
        pytest.param(
            a_line(messages=[USER, {"role": "assistant", "content": "hello"}]),
            "messages: must end with what is to be answered, of the user or a tool",
            id="nothing to answer",
        ),
        pytest.param(
            a_line(messages=[USER, {"role": "tool", "call_id": "c1", "content": "4"}]),
            "messages[1].call_id: must be the id of an earlier call",
            id="a result without a call",
        ),
        pytest.param(
            a_line(messages=[{"role": "assistant", "tool_calls": [CALL | {"arguments": "{}"}]}, USER]),
            "messages[0].tool_calls[0].arguments: must be an object",
            id="arguments as text",
        ),
        pytest.param(
            a_line(messages=[{"role": "assistant", "tool_calls": [CALL, CALL]}, USER]),
            "messages[0].tool_calls[1].id: is that of an earlier call",
            id="a call's id twice",
        ),
    ],
)
def test_a_line_that_is_wrong(line: bytes, problem: str) -> None:
    """The problem is told with its line and place, and without what the prompt says."""
    with pytest.raises(BadCases) as told:
        parse_cases(a_line(id="good") + b"\n\n" + line)

    assert told.value.problems == (f"line 3: {problem}",)


def test_every_problem_is_told() -> None:
    """All of a line, and all lines; an id that comes twice names both."""
    with pytest.raises(BadCases) as told:
        parse_cases(b"\n".join([a_line(), b'{"route": 1, "messages": [1, 2]}', a_line()]))

    assert told.value.problems == (
        "line 2: id: is missing",
        f"line 2: route: {NAME_RULE}",
        "line 2: messages[0]: must be an object",
        "line 2: messages[1]: must be an object",
        "line 3: id: is that of line 1 too",
    )


def test_the_examples_of_the_documentation() -> None:
    """They are taken as they are."""
    example = re.search(
        r"```json\n(.*?)```", (Path(__file__).parent.parent.parent / "docs" / "routing.md").read_text(), re.DOTALL
    )

    assert example is not None
    assert [case.id for case in parse_cases(example[1].encode())] == ["trip", "time"]


def test_an_empty_file() -> None:
    """There is nothing to measure."""
    with pytest.raises(BadCases, match="holds no prompts"):
        parse_cases(b"\n \n")


SHIPPED: Final = shipped_cases()
ROUTES: Final = {"passthrough", "reasoning"}


def _texts(case: Case) -> list[str]:
    return [part.text or part.tool_result.content for message in case.messages for part in message.content]


def test_the_shipped_set_is_balanced() -> None:
    """Both routes have as many prompts as each other, and no kind of prompt gives its route away."""
    by_tag = Counter((tag, case.route) for case in SHIPPED for tag in case.tags if tag != "long")
    tags = {tag for tag, _ in by_tag}

    assert len(SHIPPED) >= 120
    assert Counter(case.route for case in SHIPPED) == dict.fromkeys(ROUTES, len(SHIPPED) // 2)
    assert {tag: by_tag[tag, "passthrough"] for tag in tags} == {tag: by_tag[tag, "reasoning"] for tag in tags}
    assert sum("multi-turn" in case.tags for case in SHIPPED) >= 25
    assert {"multi-turn", "tool-result", "not-english", "adversarial"} == tags


def test_the_shipped_set_repeats_nothing() -> None:
    """No conversation comes twice: the second would be answered from the server's cache."""
    conversations = Counter(
        CompleteRequest(messages=case.messages).SerializeToString(deterministic=True) for case in SHIPPED
    )

    assert max(conversations.values()) == 1


def test_the_tags_of_the_shipped_set_are_true() -> None:
    """Whoever answers after the model has spoken is in several turns."""
    for case in SHIPPED:
        roles = [message.role for message in case.messages]
        assert ("multi-turn" in case.tags) == (messages_pb2.ROLE_ASSISTANT in roles), case.id
        assert ("tool-result" in case.tags) == (roles[-1] == messages_pb2.ROLE_TOOL), case.id


def test_the_last_words_give_nothing_away() -> None:
    """Of several turns, every last word of a person stands under both routes: only the context tells them apart."""
    labels: dict[str, set[str]] = {}
    for case in SHIPPED:
        if "multi-turn" in case.tags and "tool-result" not in case.tags:
            labels.setdefault(_texts(case)[-1], set()).add(case.route)

    assert {"yes", "continue"} <= labels.keys()
    assert set(map(frozenset, labels.values())) == {frozenset(ROUTES)}


@pytest.mark.parametrize(
    "measure",
    [
        pytest.param(lambda case: sum(map(len, _texts(case))), id="length"),
        pytest.param(lambda case: len(_texts(case)[-1]), id="length of the last message"),
        pytest.param(lambda case: sum(map(str.isdigit, "".join(_texts(case)))), id="digits"),
    ],
)
def test_a_ruler_is_no_classifier(measure: Callable[[Case], int]) -> None:
    """Whoever only counts characters, with the best threshold there is, stays below three quarters."""
    measured = [(measure(case), case.route == "reasoning") for case in SHIPPED]

    best = max(
        sum((length >= threshold) == reasons for length, reasons in measured) for threshold, _ in measured
    ) / len(measured)

    assert best < 0.75


async def test_the_shipped_set_is_taken_by_a_server(running_server: RunningServer) -> None:
    """Each conversation is a valid request."""
    client = running_server.client()

    for case in SHIPPED:
        decision = await client.classify(CompleteRequest(messages=case.messages), rules_only=True)
        assert decision.route == "passthrough"
