"""The page about models that reason says only what the recorded conversations of the tests show."""

import pytest
from google.protobuf import json_format

from reasoning_grpc.domain import Reasoning, ToolResult
from reasoning_grpc.rpc.convert import Caps, completion_request
from reasoning_grpc.v1 import completion_pb2
from scripts import recorded_table
from scripts.models_table import TESTS, name_tests, replace_table
from scripts.pages import find_blocks, read_pages
from tests.support.collected_tests import collect_tests
from tests.support.model_families import read_families


def test_the_request_of_a_second_turn_is_valid() -> None:
    """The request that continues a conversation is one that the server takes, with reasoning and a tool result."""
    (block,) = find_blocks(read_pages()["docs/models.md"], "json")

    request = completion_request(json_format.Parse(block.text, completion_pb2.CompleteRequest()), Caps())

    contents = [part.content for message in request.messages for part in message.content]
    assert any(isinstance(content, Reasoning) for content in contents)
    assert isinstance(contents[-1], ToolResult)


def test_the_table_of_families_is_current() -> None:
    """The table of model families is the one that scripts/models_table.py writes from the recordings."""
    page = read_pages()["docs/models.md"]

    assert replace_table(page) == page


def test_the_table_of_recordings_is_current() -> None:
    """The table of what was recorded is the one that scripts/recorded_table.py writes from the recordings."""
    page = read_pages()["docs/models.md"]

    assert recorded_table.replace_table(page) == page


@pytest.mark.process
def test_each_cell_of_the_recordings_is_tested() -> None:
    """The cells of the table name the tests that play recordings: all that pytest collects, and no others."""
    named = {test for family in read_families().values() for _, test in recorded_table.list_tests(family)}

    played = {test for test in collect_tests(TESTS) if "[" in test and "::test_refused_field[" not in test}

    assert named == played


@pytest.mark.process
def test_each_statement_of_the_table_is_tested() -> None:
    """Each statement about a family names tests that pytest collects, and each refused field has a statement."""
    named = {test for family in read_families().values() for test in name_tests(family)}
    files = {test.partition("::")[0] for test in named} | {TESTS}

    collected = collect_tests(*sorted(files))

    assert named <= collected
    assert {test for test in collected if "::test_refused_field[" in test} <= named
