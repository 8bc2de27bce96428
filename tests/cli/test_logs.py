"""The lines of the log: one JSON object or one short text each, whatever the values are."""

import copy
import json
import logging
import pickle
import sys
from datetime import UTC, datetime
from typing import Any, Final

import pytest

from reasoning_grpc.cli.logs import JsonFormatter, TextFormatter
from reasoning_grpc.domain import FinishReason
from reasoning_grpc.telemetry import FactsRecord
from tests.support.factories import a_wire_request
from tests.support.server_process import ServerProcess

FACTS: Final = {
    "code": "OK",
    "duration_ms": 0.5,
    "events": 3,
    "labels": {"team": "billing"},
    "finish_reason": FinishReason.STOP,
}
UNPRINTABLE: Final = "é, \u2028, \u0085, \U0001f600 and a line\nend"


def create_record(facts: dict[str, Any], exc_info: Any = None) -> FactsRecord:
    """Creates the record of a call with these facts."""
    return FactsRecord("reasoning_grpc.calls", logging.WARNING, "call", facts, exc_info)


def create_plain_record(**extra: Any) -> logging.LogRecord:
    """Creates a record in the standard library's own way, with the values as `extra`."""
    return logging.getLogger("other").makeRecord("other", logging.INFO, "", 0, "%d of %d", (1, 2), None, extra=extra)


def test_a_record_with_facts_is_a_log_record() -> None:
    """A record with facts has every attribute of a log record, and each fact as an attribute."""
    record, plain = create_record(FACTS), create_plain_record()

    assert vars(record).keys() >= vars(plain).keys() | FACTS.keys()
    assert (record.name, record.levelname, record.getMessage()) == ("reasoning_grpc.calls", "WARNING", "call")
    assert 0 <= record.msecs < 1000
    assert abs(record.created - plain.created) < 60
    assert abs(record.relativeCreated - plain.relativeCreated) < 60_000
    assert vars(record)["finish_reason"] == "STOP"


def test_a_record_with_facts_can_be_copied() -> None:
    """A copy of a record, as handlers with a queue make it, gives the same line."""
    record, formatter = create_record(FACTS), JsonFormatter()

    assert formatter.format(copy.copy(record)) == formatter.format(record)
    assert formatter.format(pickle.loads(pickle.dumps(record))) == formatter.format(record)


def test_a_line_is_a_json_object_with_the_facts() -> None:
    """A JSON line has the time in UTC, the level, the logger, the message and the facts, and enums as strings."""
    record = create_record(FACTS)

    line = JsonFormatter().format(record)

    assert json.loads(line) == {
        "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
        "level": "warning",
        "logger": "reasoning_grpc.calls",
        "message": "call",
        **FACTS,
    }
    assert line.startswith('{"time":')


@pytest.mark.parametrize("created", [0.0, 1.999, 2.0, 1_000_000_000.0625, 1_796_000_000.9996, 1_796_000_001.0])
def test_the_time_of_a_line_is_that_of_its_record(created: float) -> None:
    """Records of one second share the text of that second, and the milliseconds are cut, as in ISO 8601."""
    formatter, record = JsonFormatter(), create_record(FACTS)

    for seconds in (created, created + 0.0001, created + 1, created):
        record.created = seconds
        expected = datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
        assert json.loads(formatter.format(record))["time"] == expected


@pytest.mark.parametrize("text", [UNPRINTABLE, "half a pair: \ud83d", "\ud83d é"])
def test_a_line_is_ascii(text: str) -> None:
    """A JSON line is one line of ASCII that holds every character, also half of a surrogate pair."""
    by_facts = JsonFormatter().format(create_record({"upstream_message": text}))
    by_extra = JsonFormatter().format(create_plain_record(upstream_message=text))

    for line in (by_facts, by_extra):
        assert line.isascii()
        assert len(line.splitlines()) == 1
        assert json.loads(line)["upstream_message"] == text


def test_a_value_of_another_library_is_shown_as_its_text() -> None:
    """A value of `extra` that JSON does not have is a string, and the arguments of a message are filled in."""
    line = json.loads(
        JsonFormatter().format(create_plain_record(set=frozenset({1}), raw=b"x", nested=[ValueError("v")]))
    )

    assert (line["message"], line["set"], line["raw"]) == ("1 of 2", "frozenset({1})", "b'x'")
    assert line["nested"] == ["v"]


@pytest.mark.parametrize("formatter", [JsonFormatter(), TextFormatter()], ids=["json", "text"])
def test_a_line_has_the_traceback(formatter: logging.Formatter) -> None:
    """A record with an exception is formatted with its traceback."""
    try:
        raise ValueError("a fault")
    except ValueError:
        line = formatter.format(create_record(FACTS, sys.exc_info()))

    traceback = json.loads(line)["traceback"] if isinstance(formatter, JsonFormatter) else line.partition("\n")[2]
    assert traceback.startswith("Traceback (most recent call last):\n")
    assert traceback.endswith("ValueError: a fault")


def test_a_line_of_text_has_the_facts() -> None:
    """A text line has the level, the message, and each fact as NAME=VALUE, whichever way they were logged."""
    formatter = TextFormatter()

    by_facts = formatter.format(create_record(FACTS))
    by_extra = formatter.format(create_plain_record(address="127.0.0.1:1"))

    assert by_facts[8:] == (
        ' warning call code=OK duration_ms=0.5 events=3 labels={"team": "billing"} finish_reason=STOP'
    )
    assert by_extra[8:] == " info    1 of 2 address=127.0.0.1:1"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("openai/gpt", "openai/gpt"),
        ("two words", '"two words"'),
        ("", '""'),
        ("a=b", '"a=b"'),
        ("\x1b[31mred\x9b", '"\\u001b[31mred\\u009b"'),
        ("Zürich", "Zürich"),
        (None, "null"),
        (True, "true"),
        (("a", "b c"), '["a", "b c"]'),
        (FinishReason.STOP, "STOP"),
    ],
)
def test_a_value_in_a_line_of_text_is_that_of_json(value: Any, text: str) -> None:
    """The end of each value can be seen, and no terminal obeys it."""
    assert TextFormatter().format(create_plain_record(fact=value)).endswith(f" fact={text}")


@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.process
async def test_the_line_of_a_call_is_ascii(server_process: ServerProcess) -> None:
    """The label of a request stands in the line of its call with every character, in ASCII."""
    async with server_process.client() as client:
        await client.complete(a_wire_request(labels={"text": UNPRINTABLE}))

    lines = [line for line in server_process.lines() if "labels" in line]
    assert [line["labels"] for line in lines] == [{"text": UNPRINTABLE}]
    assert server_process.log.read_bytes().isascii()
