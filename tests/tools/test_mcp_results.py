"""Results of an MCP server's tools as text: nothing that the server says is lost."""

import base64
import json
from typing import Any

import pytest

from reasoning_grpc.domain import ToolStatus
from reasoning_grpc.tools.results import NOTHING, convert_content
from tests.support.mcp_server import Reports
from tests.support.mcp_toolbox import open_toolbox
from tests.support.scripted_mcp import a_result_line, scripted_entry

HERE = 'Here it is:\n{"items":["a","b","c"]}\n[image/png, 5 bytes]'
ITEMS = {"items": ["a", "b", "c"]}
PICTURE = {"type": "image", "data": base64.b64encode(b"12345").decode(), "mimeType": "image/png"}


def a_text(text: str) -> dict[str, Any]:
    """Builds a block of text."""
    return {"type": "text", "text": text}


@pytest.mark.parametrize(
    ("blocks", "structured", "text"),
    [
        ([a_text("returned 3 item(s).")], ITEMS, 'returned 3 item(s).\n{"items":["a","b","c"]}'),
        ([a_text("See the data.")], {"content": "other"}, 'See the data.\n{"content":"other"}'),
        ([], ITEMS, '{"items":["a","b","c"]}'),
        ([], {"result": []}, '{"result":[]}'),
        ([], {"result": None}, '{"result":null}'),
        ([PICTURE], ITEMS, '[image/png, 5 bytes]\n{"items":["a","b","c"]}'),
        ([a_text("a"), a_text("b")], {"result": ["a", "c"]}, 'a\nb\n{"result":["a","c"]}'),
        ([a_text("2 items")], {"result": []}, '2 items\n{"result":[]}'),
        ([], NOTHING, ""),
        ([], None, "null"),
        ([], {}, "{}"),
    ],
)
def test_structured_content_is_added(blocks: list[dict[str, Any]], structured: object, text: str) -> None:
    """Structured content that the blocks do not contain follows them as JSON."""
    assert convert_content(blocks, structured) == text


@pytest.mark.parametrize(
    ("blocks", "structured", "text"),
    [
        ([a_text(json.dumps(ITEMS))], ITEMS, '{"items":["a","b","c"]}'),
        ([a_text(json.dumps(ITEMS, indent=2))], ITEMS, '{"items":["a","b","c"]}'),
        ([a_text("Here it is:"), a_text(json.dumps(ITEMS)), PICTURE], ITEMS, HERE),
        ([a_text("1.5")], {"result": 1.5}, '{"result":1.5}'),
        ([a_text("null")], None, "null"),
        ([a_text("a"), a_text("b")], {"result": ["a", "b"]}, '{"result":["a","b"]}'),
        ([a_text('{\n  "a": 1\n}'), a_text('{"a": 2}')], [{"a": 1}, {"a": 2}], '[{"a":1},{"a":2}]'),
        ([a_text("1"), a_text("2")], {"result": ["1", "2"]}, '{"result":["1","2"]}'),
    ],
)
def test_structured_content_replaces_the_blocks_that_repeat_it(
    blocks: list[dict[str, Any]], structured: object, text: str
) -> None:
    """The model reads structured content as JSON in place of the blocks that repeat it, and the others stay."""
    assert convert_content(blocks, structured) == text


@pytest.mark.parametrize(
    ("blocks", "structured"),
    [
        ([a_text("hello\nworld")], {"result": "hello\nworld"}),
        ([a_text("hello")], "hello"),
        ([a_text("the file"), PICTURE], {"content": "the file"}),
        ([PICTURE], {"content": [PICTURE]}),
    ],
)
def test_a_single_text_is_not_written_as_json(blocks: list[dict[str, Any]], structured: object) -> None:
    """A text that is the whole structured content stays as it is, and so do blocks that are all of it."""
    assert convert_content(blocks, structured) == convert_content(blocks)


LINK = {"type": "resource_link", "uri": "file:///a.txt", "name": "a.txt"}


@pytest.mark.process
@pytest.mark.parametrize(
    ("block", "text"),
    [
        (LINK, "[resource, file:///a.txt, name: a.txt]"),
        (
            LINK | {"description": "The minutes.", "title": "Minutes", "mimeType": "text/plain", "size": 12},
            "[text/plain, file:///a.txt, name: a.txt, title: Minutes, description: The minutes., 12 bytes]",
        ),
        (
            {"type": "resource", "resource": {"uri": "file:///a.txt", "mimeType": "text/plain", "text": "words"}},
            "[text/plain, file:///a.txt]\nwords",
        ),
        (
            {"type": "resource", "resource": {"uri": "file:///a.bin", "blob": "MTIzNDU="}},
            "[binary, file:///a.bin, 5 bytes]",
        ),
    ],
)
async def test_resources_are_described(reports: Reports, block: dict[str, Any], text: str) -> None:
    """All that a server says about a resource reaches the model."""
    entry = scripted_entry(tools_call=[a_result_line({"content": [block]})])
    async with open_toolbox(reports, entry) as toolbox:
        execution = await toolbox.call("harm")

    assert execution.result == text


@pytest.mark.process
@pytest.mark.parametrize(
    ("result", "text"),
    [
        ({"structuredContent": ITEMS}, '{"items":["a","b","c"]}'),
        ({"content": None, "structuredContent": ITEMS}, '{"items":["a","b","c"]}'),
        (
            {"content": [a_text("a"), {"type": "video", "data": "MTIzNDU=", "mimeType": "video/mp4"}, a_text("b")]},
            "a\n[video/mp4, 5 bytes]\nb",
        ),
        ({"content": [{"type": "video", "data": "MTIzNDU="}]}, "[video, 5 bytes]"),
        ({"content": [{"type": "link", "uri": "file:///a.txt"}]}, "[link, file:///a.txt]"),
        ({"content": [{"type": "markdown", "text": "# words"}]}, "[markdown]\n# words"),
        ({"content": [a_text("a"), {"type": 5, "values": [1]}]}, "a\n[something]"),
        (
            {"content": [a_text("a"), {"data": 5}], "structuredContent": ITEMS},
            'a\n[something]\n{"items":["a","b","c"]}',
        ),
    ],
)
async def test_a_partly_readable_result_is_passed_on(reports: Reports, result: dict[str, Any], text: str) -> None:
    """Structured content without blocks is read, and a block of an unknown type is named beside the others."""
    async with open_toolbox(reports, scripted_entry(tools_call=[a_result_line(result)])) as toolbox:
        execution = await toolbox.call("harm")

    assert (execution.status, execution.result) == (ToolStatus.OK, text)
