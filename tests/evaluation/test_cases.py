"""A file of labelled prompts is read or refused, and the bundled set is balanced."""

import json
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest

from reasoning_grpc.evaluation.case_reader import Case
from reasoning_grpc.evaluation.cases import Half, InvalidCases, parse_cases, read_bundled_cases, read_cases
from reasoning_grpc.v1 import messages_pb2
from reasoning_grpc.v1.completion_pb2 import CompleteRequest
from tests.support.serving import RunningServer

USER: Final = {"role": "user", "content": "hi"}
CALL: Final = {"id": "c1", "name": "clock", "arguments": {}}


def a_line(**overrides: Any) -> bytes:
    """Returns a valid line of a file with these overrides."""
    return json.dumps({"id": "a", "route": "passthrough", "messages": [USER], **overrides}).encode()


def test_a_case_is_read(tmp_path: Path) -> None:
    """Text, tool calls and results become the messages of a request, and blank lines are skipped."""
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
        pytest.param(a_line(tags=["x", "x"]), "tags: must not repeat a tag", id="a tag twice"),
        pytest.param(a_line(messages=[]), "messages: must be a list that is not empty", id="empty messages"),
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
            "messages[0].content: must be a text that is not empty",
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
            "messages: must end with a message of the user or a tool",
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
            "messages[0].tool_calls[1].id: is the id of an earlier call",
            id="a call's id twice",
        ),
    ],
)
def test_a_wrong_line_is_refused(line: bytes, problem: str) -> None:
    """A problem is reported with its line and key, and without the text of the prompt."""
    with pytest.raises(InvalidCases) as refused:
        parse_cases(a_line(id="good") + b"\n\n" + line)

    assert refused.value.problems == (f"line 3: {problem}",)


def test_every_problem_is_reported() -> None:
    """All problems of all lines are reported; an id that is used twice is reported with both lines."""
    with pytest.raises(InvalidCases) as refused:
        parse_cases(b"\n".join([a_line(), b'{"route": 1, "messages": [1, 2]}', a_line()]))

    assert refused.value.problems == (
        "line 2: id: is missing",
        f"line 2: route: {NAME_RULE}",
        "line 2: messages[0]: must be an object",
        "line 2: messages[1]: must be an object",
        "line 3: id: is already used in line 1",
    )


def test_the_examples_of_the_documentation_are_valid() -> None:
    """The labelled prompts in the documentation can be read as they are."""
    example = re.search(
        r"```json\n(.*?)```", (Path(__file__).parent.parent.parent / "docs" / "routing.md").read_text(), re.DOTALL
    )

    assert example is not None
    assert [case.id for case in parse_cases(example[1].encode())] == ["trip", "time"]


def test_an_empty_file_is_refused() -> None:
    """A file without prompts is refused."""
    with pytest.raises(InvalidCases, match="holds no prompts"):
        parse_cases(b"\n \n")


BUNDLED: Final = read_bundled_cases()
HALVES: Final = {half: read_bundled_cases(half) for half in Half}
ROUTES: Final = {"passthrough", "reasoning"}


def list_texts(case: Case) -> list[str]:
    """Returns the text of every part of a case, results of tools included."""
    return [part.text or part.tool_result.content for message in case.messages for part in message.content]


@pytest.mark.parametrize("half", Half)
def test_the_bundled_halves_are_balanced(half: Half) -> None:
    """Both routes have the same number of prompts, with each tag too, so that no tag reveals the route."""
    cases = HALVES[half]
    by_tag = Counter((tag, case.route) for case in cases for tag in case.tags if tag != "long")
    tags = {tag for tag, _ in by_tag}

    assert len(cases) >= 200
    assert Counter(case.route for case in cases) == dict.fromkeys(ROUTES, len(cases) // 2)
    assert {tag: by_tag[tag, "passthrough"] for tag in tags} == {tag: by_tag[tag, "reasoning"] for tag in tags}
    assert sum("multi-turn" in case.tags for case in cases) >= 25
    assert sum("not-english" in case.tags for case in cases) >= 50
    assert {"multi-turn", "tool-result", "not-english", "adversarial"} == tags
    assert all(case.language and (case.language != "en") == ("not-english" in case.tags) for case in cases)


def test_the_bundled_set_has_no_duplicates() -> None:
    """No conversation is there twice, because the server's cache would answer the second one."""
    conversations = Counter(
        CompleteRequest(messages=case.messages).SerializeToString(deterministic=True) for case in BUNDLED
    )

    assert max(conversations.values()) == 1


def test_the_tags_of_the_bundled_set_are_right() -> None:
    """A conversation has the tag multi-turn if the model has spoken, and tool-result if it ends with a result."""
    for case in BUNDLED:
        roles = [message.role for message in case.messages]
        assert ("multi-turn" in case.tags) == (messages_pb2.ROLE_ASSISTANT in roles), case.id
        assert ("tool-result" in case.tags) == (roles[-1] == messages_pb2.ROLE_TOOL), case.id


@pytest.mark.parametrize("half", Half)
def test_the_last_message_does_not_reveal_the_route(half: Half) -> None:
    """Each last message of a person in several turns is there under both routes, so that only the context decides."""
    labels: dict[str, set[str]] = {}
    for case in HALVES[half]:
        if "multi-turn" in case.tags and "tool-result" not in case.tags:
            labels.setdefault(list_texts(case)[-1], set()).add(case.route)

    assert len(labels) >= 10
    assert set(map(frozenset, labels.values())) == {frozenset(ROUTES)}


@pytest.mark.parametrize("half", Half)
@pytest.mark.parametrize(
    "measure",
    [
        pytest.param(lambda case: sum(map(len, list_texts(case))), id="length"),
        pytest.param(lambda case: len(list_texts(case)[-1]), id="length of the last message"),
        pytest.param(lambda case: sum(map(str.isdigit, "".join(list_texts(case)))), id="digits"),
    ],
)
def test_counting_characters_does_not_classify(measure: Callable[[Case], int], half: Half) -> None:
    """A count of characters or digits, with the best threshold, classifies less than three quarters rightly."""
    measured = [(measure(case), case.route == "reasoning") for case in HALVES[half]]

    best = max(
        sum((length >= threshold) == reasons for length, reasons in measured) for threshold, _ in measured
    ) / len(measured)

    assert best < 0.75


async def test_a_server_accepts_the_bundled_set(running_server: RunningServer) -> None:
    """Each conversation of the bundled set is a valid request."""
    client = running_server.client()

    for case in BUNDLED:
        decision = await client.classify(CompleteRequest(messages=case.messages), rules_only=True)
        assert decision.route == "passthrough"
