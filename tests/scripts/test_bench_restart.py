"""`make bench-restart` counts what became of each call, and calls a promise broken when one was."""

import re
from pathlib import Path

import pytest

from bench.restart.envoy import write_config
from bench.restart.load import Call, Load
from bench.restart.phases import Phase


def a_call(kind: str, number: int, outcome: str, end_time: float) -> Call:
    """Builds a call that took a tenth of a second."""
    return Call(kind, f"{kind}-{number}", end_time - 0.1, end_time, outcome)


async def test_the_report_counts_calls_by_their_outcome() -> None:
    """The report has the outcomes of each kind, and the course in steps of half a second."""
    load = Load("127.0.0.1:1", unary_model="mock-1", unary_per_second=1, stream_models=[])
    load.calls = [
        a_call("unary", 1, "OK", 1000.2),
        a_call("unary", 2, "OK", 1000.7),
        a_call("stream", 3, "UNAVAILABLE SERVER_SHUTTING_DOWN", 1000.8),
        a_call("stream", 4, "UNAVAILABLE", 1000.9),
    ]
    report = Phase("a name", load, start_time=1000.0).summarize()
    await load.stop()

    assert report["calls"] == {
        "unary": {"OK": 2},
        "stream": {"UNAVAILABLE SERVER_SHUTTING_DOWN": 1, "UNAVAILABLE": 1},
    }
    assert report["unary_ms"] == {"p50": 100.0, "p99": 100.0, "max": 100.0}
    assert report["course"] == [
        {"seconds": 0.0, "ok": 1, "typed": 0, "bare": 0, "slowest_unary_ms": 100.0},
        {"seconds": 0.5, "ok": 1, "typed": 1, "bare": 1, "slowest_unary_ms": 100.0},
    ]


def test_the_configuration_of_envoy_gets_other_ports(tmp_path: Path) -> None:
    """Each port of the shipped configuration is replaced; a server too few or too many is an error."""
    file = tmp_path / "envoy.yaml"

    write_config(file, listener=1001, admin=1002, servers=[1003, 1004, 1005])

    assert re.findall(r"port_value: (\d+)", file.read_text()) == ["1002", "1001", "1003", "1004", "1005"]
    with pytest.raises(ValueError, match="has not the ports"):
        write_config(file, listener=1001, admin=1002, servers=[1003, 1004])
