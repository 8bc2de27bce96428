"""Conversations of every shape that requests may have."""

from collections.abc import Mapping
from typing import Any, Final

from reasoning_grpc.v1.completion_pb2 import CompleteRequest, Tool
from reasoning_grpc.v1.messages_pb2 import (
    ROLE_ASSISTANT,
    ROLE_SYSTEM,
    ROLE_TOOL,
    ROLE_USER,
    Media,
    Message,
    Part,
    Reasoning,
    ToolCall,
    ToolResult,
)

LOOKUP: Final = Tool(
    name="lookup",
    description="looks it up",
    parameters_schema='{"type":"object","properties":{"q":{"type":"string"}},"required":["q"]}',
)


def _text(text: str, **fields: Any) -> Part:
    return Part(text=text, **fields)


def _system(*parts: Part | str, **fields: Any) -> Message:
    return _message(ROLE_SYSTEM, parts, fields)


def _user(*parts: Part | str, **fields: Any) -> Message:
    return _message(ROLE_USER, parts, fields)


def _assistant(*parts: Part | str, **fields: Any) -> Message:
    return _message(ROLE_ASSISTANT, parts, fields)


def _tool(*parts: Part) -> Message:
    return _message(ROLE_TOOL, parts, {})


def _message(role: Any, parts: tuple[Part | str, ...], fields: Mapping[str, Any]) -> Message:
    return Message(role=role, content=[_text(each) if isinstance(each, str) else each for each in parts], **fields)


def _call(call_id: str = "call_1", name: str = "lookup", arguments: str = '{"q": "x"}', **fields: Any) -> Part:
    return Part(tool_call=ToolCall(id=call_id, name=name, arguments=arguments), **fields)


def _result(call_id: str = "call_1", content: str = "found", **fields: Any) -> Part:
    is_error = fields.pop("is_error", False)
    return Part(tool_result=ToolResult(call_id=call_id, content=content, is_error=is_error), **fields)


def _media(mime_type: str, **fields: Any) -> Part:
    return Part(media=Media(mime_type=mime_type, **({"data": b"abc"} if "uri" not in fields else {}) | fields))


def _reasoning(text: str, **fields: Any) -> Part:
    return Part(reasoning=Reasoning(text=text), **fields)


def _redacted(**fields: Any) -> Part:
    return Part(reasoning=Reasoning(redacted=b"b3BhcXVl"), **fields)


_SIGNED: Final = _reasoning("hm", signature="c2ln")
_LATER: Final = _reasoning("so", signature="c2lnMg==")

_SHAPES: Final[Mapping[str, tuple[Message, ...]]] = {
    "system": (_system("be brief"), _user("hi")),
    "two systems": (_system("s1"), _system("s2"), _user("hi")),
    "system of two texts": (_system("s1", "s2"), _user("hi")),
    "later system": (_system("s1"), _user("a"), _assistant("b"), _system("s2"), _user("c")),
    "system last": (_user("a"), _system("s2")),
    "system alone": (_system("s1"),),
    "system between users": (_user("a"), _system("s2"), _user("b")),
    "two users": (_user("a"), _user("b")),
    "user of two texts": (_user("one", "two"),),
    "answer": (_user("a"), _assistant("b"), _user("c")),
    "answer of two texts": (_user("a"), _assistant("b", "c"), _user("d")),
    "two answers": (_user("a"), _assistant("b"), _assistant("c"), _user("d")),
    "answer first": (_assistant("b"), _user("c")),
    "last answer": (_user("a"), _assistant("b")),
    "last answer with blanks": (_user("a"), _assistant("b \n")),
    "answer of blanks": (_user("a"), _assistant(" "), _user("c")),
    "user of blanks": (_user("\n"),),
    "blanks around": (_user("  a  "), _assistant("  b\n"), _user("\tc ")),
    "empty answer": (_user("a"), _assistant(), _user("c")),
    "empty last answer": (_user("a"), _assistant()),
    "empty text with a signature": (_user("a"), _assistant(_text("", signature="c2ln")), _user("c")),
    "every character": (_user('\u20ac\U0001f600\u0000"\\\u2028\r\n<|im_end|>'),),
    "user's name": (_user("hi", name="ann"),),
    "every name": (_system("s", name="op"), _user("a", name="ann"), _assistant("b", name="bot"), _user("c")),
    "refusal": (_user("a"), _assistant(Part(refusal="no")), _user("c")),
    "text and refusal": (_user("a"), _assistant("well", Part(refusal="no")), _user("c")),
    "call and result": (_user("a"), _assistant(_call()), _tool(_result()), _user("c")),
    "result last": (_user("a"), _assistant(_call()), _tool(_result())),
    "text and call": (_user("a"), _assistant("wait", _call()), _tool(_result()), _user("c")),
    "call and text": (_user("a"), _assistant(_call(), "wait"), _tool(_result()), _user("c")),
    "two calls and results": (
        _user("a"),
        _assistant(_call(), _call("call_2", "g", "{}")),
        _tool(_result(), _result("call_2", '{"ok": 1}')),
        _user("c"),
    ),
    "results in two messages": (
        _user("a"),
        _assistant(_call(), _call("call_2", "lookup", '{"q": "y"}')),
        _tool(_result("call_2", "second")),
        _tool(_result("call_1", "first")),
        _user("c"),
    ),
    "two rounds": (
        _user("a"),
        _assistant(_call()),
        _tool(_result()),
        _assistant(_call("call_2")),
        _tool(_result("call_2")),
        _user("c"),
    ),
    "empty arguments": (_user("a"), _assistant(_call(arguments="")), _tool(_result()), _user("c")),
    "malformed arguments": (_user("a"), _assistant(_call(arguments='{"q')), _tool(_result()), _user("c")),
    "arguments of a list": (_user("a"), _assistant(_call(arguments="[1]")), _tool(_result()), _user("c")),
    "arguments of null": (_user("a"), _assistant(_call(arguments="null")), _tool(_result()), _user("c")),
    "arguments of long numbers": (
        _user("a"),
        _assistant(_call(arguments='{"n": 123456789012345678901234567890, "x": 0.1000000000000000055, "y": 1.0}')),
        _tool(_result()),
        _user("c"),
    ),
    "arguments of no number": (_user("a"), _assistant(_call(arguments='{"n": NaN}')), _tool(_result()), _user("c")),
    "arguments of an endless number": (
        _user("a"),
        _assistant(_call(arguments='{"n": 1e999}')),
        _tool(_result()),
        _user("c"),
    ),
    "arguments with half a character": (
        _user("a"),
        _assistant(_call(arguments='{"q": "\\ud83d"}')),
        _tool(_result()),
        _user("c"),
    ),
    "arguments with a name twice": (
        _user("a"),
        _assistant(_call(arguments='{"q": "x", "q": "y"}')),
        _tool(_result()),
        _user("c"),
    ),
    "call without a result": (_user("a"), _assistant(_call()), _user("c")),
    "result without a call": (_user("a"), _tool(_result("call_9")), _user("c")),
    "two calls of one id": (_user("a"), _assistant(_call(), _call(arguments="{}")), _tool(_result()), _user("c")),
    "results in another order": (
        _user("a"),
        _assistant(_call(), _call("call_2", arguments='{"q": "y"}')),
        _tool(_result("call_2", "second"), _result("call_1", "first")),
        _user("c"),
    ),
    "calls between texts": (
        _user("a"),
        _assistant("one", _call(), "two", _call("call_2")),
        _tool(_result(), _result("call_2")),
        _user("c"),
    ),
    "call of another tool": (_user("a"), _assistant(_call(name="gone")), _tool(_result()), _user("c")),
    "blank system": (_system(" "), _user("a")),
    "system after a result": (_user("a"), _assistant(_call()), _tool(_result()), _system("s"), _user("c")),
    "blank result": (_user("a"), _assistant(_call()), _tool(_result(content=" \n")), _user("c")),
    "failed empty result": (_user("a"), _assistant(_call()), _tool(_result(content="", is_error=True)), _user("c")),
    "failed result": (_user("a"), _assistant(_call()), _tool(_result(content="gone", is_error=True)), _user("c")),
    "empty result": (_user("a"), _assistant(_call()), _tool(_result(content="")), _user("c")),
    "result of JSON": (_user("a"), _assistant(_call()), _tool(_result(content='{"a": [1, null]}')), _user("c")),
    "result of a list": (_user("a"), _assistant(_call()), _tool(_result(content="[1, 2]")), _user("c")),
    "result of a number": (_user("a"), _assistant(_call()), _tool(_result(content="4")), _user("c")),
    "odd call id": (_user("a"), _assistant(_call("a|b c/d")), _tool(_result("a|b c/d")), _user("c")),
    "long call id": (_user("a"), _assistant(_call("x" * 200)), _tool(_result("x" * 200)), _user("c")),
    "signed call": (_user("a"), _assistant(_call(signature="c2ln")), _tool(_result()), _user("c")),
    "signed text": (_user("a"), _assistant(_text("b", signature="c2ln")), _user("c")),
    "unsigned reasoning": (_user("a"), _assistant(_reasoning("hm"), "b"), _user("c")),
    "signed reasoning": (_user("a"), _assistant(_SIGNED, "b"), _user("c")),
    "redacted reasoning": (_user("a"), _assistant(_redacted(), "b"), _user("c")),
    "all reasoning": (
        _user("a"),
        _assistant(_SIGNED, _redacted(), _LATER, "b"),
        _user("c"),
    ),
    "reasoning between texts": (
        _user("a"),
        _assistant(_SIGNED, "b", _LATER, "c"),
        _user("d"),
    ),
    "two unsigned reasonings": (_user("a"), _assistant(_reasoning("one"), _reasoning("two"), "b"), _user("c")),
    "reasoning alone": (_user("a"), _assistant(_SIGNED), _user("c")),
    "signed reasoning and call": (_user("a"), _assistant(_SIGNED, _call()), _tool(_result())),
    "unsigned reasoning and call": (_user("a"), _assistant(_reasoning("hm"), _call()), _tool(_result())),
    "cached user": (_user(_text("long", cache=True), "short"),),
    "cached system": (_system(_text("long", cache=True)), _user("hi")),
    "cached answer": (_user("a"), _assistant(_text("b", cache=True)), _user("c")),
    "cached call": (_user("a"), _assistant(_call(cache=True)), _tool(_result()), _user("c")),
    "cached result": (_user("a"), _assistant(_call()), _tool(_result(cache=True)), _user("c")),
    "cached first of two results": (
        _user("a"),
        _assistant(_call(), _call("call_2")),
        _tool(_result(cache=True), _result("call_2")),
        _user("c"),
    ),
    "cached image": (_user(Part(media=Media(mime_type="image/png", data=b"abc"), cache=True), "what"),),
    "cached reasoning": (_user("a"), _assistant(_reasoning("hm", signature="eA==", cache=True), "b"), _user("c")),
    "cache on everything": (
        _system(_text("s", cache=True)),
        _user(_text("a", cache=True)),
        _assistant(_call(cache=True)),
        _tool(_result(cache=True)),
    ),
    "five cache marks": (_user(*(_text(f"t{index}", cache=True) for index in range(5))),),
    "eight cache marks": (
        _system(_text("s1", cache=True), _text("s2", cache=True)),
        _user(*(_text(f"t{index}", cache=True) for index in range(6))),
    ),
    "image by data": (_user(_media("image/png")),),
    "image of every type": (_user(_media("image/jpeg"), _media("image/gif"), _media("image/webp"), "these"),),
    "image of a rare type": (_user(_media("image/tiff"), "this"),),
    "image by address": (_user("see", _media("image/png", uri="https://example.com/a.png")),),
    "image by address without a suffix": (_user("see", _media("image/webp", uri="https://example.com/a?b=1")),),
    "texts around an image": (_user("one", _media("image/png"), "two"),),
    "image in an earlier message": (_user("one", _media("image/png")), _assistant("b"), _user("two")),
    "wav": (_user("hear", _media("audio/wav")),),
    "mp3": (_user("hear", _media("audio/mpeg")),),
    "audio of another type": (_user("hear", _media("audio/ogg")),),
    "pdf": (_user("read", _media("application/pdf", filename="a.pdf")),),
    "pdf without a name": (_user("read", _media("application/pdf")),),
    "plain document": (_user("read", _media("text/plain", filename="a.txt")),),
    "markdown document": (_user("read", _media("text/markdown", filename="a.md")),),
    "json document": (_user("read", _media("application/json", data=b'{"a": 1}', filename="a.json")),),
    "image of a vector": (_user("see", _media("image/svg+xml", data=b"<svg/>")),),
    "image with another name of its type": (_user("see", _media("image/jpg")),),
    "table": (_user("read", _media("text/csv", data=b"a,b", filename="a.csv")),),
    "document of no character set": (_user("read", _media("text/plain", data=b"\xff\xfe", filename="a.txt")),),
    "document alone": (_user(_media("application/pdf", filename="a.pdf")),),
    "document with an odd name": (_user("read", _media("application/pdf", filename="../a b (1).pdf")),),
    "bytes": (_user("read", _media("application/octet-stream", filename="a.bin")),),
    "video": (_user("see", _media("application/mp4")),),
}
_ITEM: Final = _reasoning("hm", signature='{"id":"rs_1","encrypted_content":"gAAA"}')
_LATER_ITEM: Final = _reasoning("so", signature='{"id":"rs_2","encrypted_content":"gAAB"}')
_ITEM_SHAPES: Final[Mapping[str, tuple[Message, ...]]] = {
    "item of reasoning": (_user("a"), _assistant(_ITEM, "b"), _user("c")),
    "item of reasoning without words": (
        _user("a"),
        _assistant(_reasoning("", signature='{"id":"rs_1","encrypted_content":"gAAA"}'), "b"),
        _user("c"),
    ),
    "item of reasoning and call": (_user("a"), _assistant(_ITEM, _call()), _tool(_result())),
    "items between calls and texts": (
        _user("a"),
        _assistant(
            _ITEM,
            _text("wait", signature='{"phase":"commentary"}'),
            _call(),
            _call("call_2"),
            _LATER_ITEM,
            _text("b", signature='{"phase":"final_answer"}'),
        ),
        _tool(_result(), _result("call_2")),
        _user("c"),
    ),
    "texts of two phases": (
        _user("a"),
        _assistant(
            "one",
            _text("two", signature='{"phase":"commentary"}'),
            _text("three", signature='{"phase":"final_answer"}'),
        ),
        _user("c"),
    ),
    "reasoning of an item and of others": (_user("a"), _assistant(_ITEM, _SIGNED, _reasoning("so"), "b"), _user("c")),
    "document by address": (_user("read", _media("application/pdf", uri="https://example.com/a.pdf")),),
}
ITEM_CONVERSATIONS: Final[Mapping[str, CompleteRequest]] = {
    name: CompleteRequest(messages=messages) for name, messages in _ITEM_SHAPES.items()
}
"""Requests with what only OpenAI's Responses API has signed, and with what only it takes."""
CONVERSATIONS: Final[Mapping[str, CompleteRequest]] = {
    name: CompleteRequest(messages=messages) for name, messages in _SHAPES.items()
}
"""Requests by the shape of their conversation."""
