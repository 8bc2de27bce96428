"""`make bench-replicas` judges each call that a fault meets, and writes the page from its report."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest

from bench.replicas.call_log import CallLog
from bench.replicas.observation import CUT, Observation, Strike
from bench.replicas.table import build_table
from bench.restart.envoy import write_config
from bench.restart.load import Call
from bench.restart.servers import EndedCall, Server
from scripts.replicas_page import PAGE, replace_part

STRIKE: Final = Strike(0, 1000.0, frozenset({"unary-1", "unary-2", "stream-3"}), 1001.0, used_again_seconds=2.5)


def a_call(request_id: str, outcome: str, end_time: float = 1000.5, *, seconds: float = 1.0) -> Call:
    """Builds a call, whose kind is in its id."""
    return Call(request_id.partition("-")[0], request_id, end_time - seconds, end_time, outcome)


def an_observation(fault: str, *calls: Call, strike: Strike = STRIKE, **ended: EndedCall) -> Observation:
    """Builds what was noticed of a strike of replica 0. `ended` are calls that replica 1 has logged."""
    logged = {1: [(name.replace("_", "-"), call) for name, call in ended.items()]}
    return Observation(fault, "envoy", [a_call("unary-0", "OK"), *calls], [strike], logged)


def find_problems(observation: Observation) -> list[str]:
    """Returns the problems of the summary."""
    problems: list[str] = observation.summarize()["problems"]
    return problems


def test_the_calls_in_flight_are_those_that_no_other_replica_had() -> None:
    """A call that another replica got before the strike was there; one that it got later was sent again."""
    observation = an_observation(
        "kill",
        a_call("unary-1", "OK", 1000.8),
        a_call("unary-2", "UNAVAILABLE", 1000.1),
        a_call("stream-3", "OK"),
        unary_1=EndedCall("OK", 1000.3),
        stream_3=EndedCall("OK", 999.0),
    )

    summary = observation.summarize()

    assert summary["calls"] == {"unary": {"OK": 2, "UNAVAILABLE": 1}, "stream": {"OK": 1}}
    assert summary["in_flight"] == {"unary": 2, "stream": 0}
    assert summary["failed_in_flight"] == {"unary": 1, "stream": 0}
    assert summary["last_failure_seconds"] == 0.1
    assert summary["used_again_seconds"] == 2.5
    assert summary["unary_seconds"] == {"p50": 1.0, "p99": 1.0, "max": 1.0}
    assert summary["problems"] == []


@pytest.mark.parametrize("fault", ["kill", "hang", "partition"])
def test_a_silent_replica_costs_its_own_calls_alone(fault: str) -> None:
    """A call that was in flight at the replica may fail without a reason; any other failure is a problem."""
    at_the_replica = [a_call("unary-1", "INTERNAL"), a_call("stream-3", "UNAVAILABLE")]

    assert find_problems(an_observation(fault, *at_the_replica)) == []
    assert find_problems(an_observation(fault, a_call("unary-9", "UNAVAILABLE"), a_call("unary-8", "UNAVAILABLE"))) == [
        "2 unary calls failed with UNAVAILABLE that were not in flight at the replica"
    ]
    assert find_problems(an_observation(fault, a_call("unary-1", "DEADLINE_EXCEEDED"))) == [
        "1 unary calls failed with DEADLINE_EXCEEDED"
    ]


@pytest.mark.parametrize("fault", ["hang", "partition"])
def test_a_fault_without_effect_is_a_problem(fault: str) -> None:
    """A replica that gets calls while it hangs or is cut off does not, so the run has shown nothing."""
    observation = an_observation(fault)
    calls = [("unary-8", EndedCall("OK", 1000.1)), ("unary-9", EndedCall("OK", 1000.9))]

    assert find_problems(replace(observation, ended={0: calls})) == [
        "1 calls arrived at replica 0 meanwhile, so there was no fault"
    ]


def test_a_restart_fails_no_unary_call_and_cuts_streams_in_words() -> None:
    """A stream may end as SERVER_SHUTTING_DOWN with its Interruption, and a unary call may not."""
    cut = a_call("stream-3", CUT)

    assert find_problems(an_observation("restart", replace(cut, has_interruption=True))) == []
    assert find_problems(an_observation("restart", cut)) == ["1 streams were cut without an Interruption"]
    assert find_problems(an_observation("restart", a_call("stream-3", "UNAVAILABLE"), a_call("unary-1", CUT))) == [
        "1 stream calls failed with UNAVAILABLE",
        f"1 unary calls failed with {CUT}",
    ]


def test_a_slow_replica_fails_no_call() -> None:
    """A failure that is allowed to a replica that says nothing is a problem of one that is slow."""
    assert find_problems(an_observation("slow", a_call("stream-3", "UNAVAILABLE"))) == [
        "1 stream calls failed with UNAVAILABLE"
    ]


def test_a_call_that_hangs_is_a_problem() -> None:
    """A call may not outlive its deadline, whatever becomes of it, and must end."""
    late, endless = a_call("unary-1", "OK", seconds=70.0), Call("stream", "stream-3", 999.0)

    assert find_problems(an_observation("hang", late, endless)) == [
        "1 unary calls lasted longer than their deadline",
        "1 stream calls did not end",
    ]


def test_a_replica_that_is_not_used_again_is_a_problem() -> None:
    """A replica must get calls again when it is as before; what it did wrong itself is reported as well."""
    strike = replace(STRIKE, used_again_seconds=None, problems=["replica 0 ended with 1 after 3 s"])

    assert find_problems(an_observation("restart", strike=strike)) == [
        "replica 0 ended with 1 after 3 s",
        "replica 0 was not used again",
    ]


def test_the_table_has_the_ways_in_which_calls_failed() -> None:
    """A row counts the calls of each kind and their failures, and has no time where none failed."""
    failing = an_observation("kill", a_call("unary-2", "INTERNAL"), a_call("stream-3", "INTERNAL"))

    _, _, failed, fine = build_table([failing.summarize(), an_observation("slow").summarize()])

    assert failed == (
        "| `kill -9` of each in turn | Envoy | 2, 1 `INTERNAL` | 1, 1 `INTERNAL` "
        "| 2, 2 | 0.5 s | 1.0 s, 1.0 s | 2.5 s |"
    )
    assert fine == "| one gets a fiftieth of a core for 20 s | Envoy | 1, 0 | 0, 0 | 0, 0 | - | 1.0 s, 1.0 s | 2.5 s |"


def test_the_page_gets_the_report_once() -> None:
    """The page has one place for the report; writing the same run again changes nothing."""
    run: dict[str, Any] = {
        "command": "make bench-replicas",
        "date": "2026-11-30",
        "machine": {"processor": "2 x a processor", "system": "Linux 6.18", "python": "3.11"},
        "versions": {"Envoy": "1.40.0"},
        "addresses": "one for each",
        "load": "some",
        "observations": [an_observation("slow").summarize()],
    }

    page = replace_part(PAGE.read_text("utf-8"), run)

    assert "- **Versions:** Envoy 1.40.0\n" in page
    assert replace_part(page, run) == page
    with pytest.raises(ValueError, match="0 places"):
        replace_part("", run)


def test_a_log_is_read_as_it_grows(tmp_path: Path) -> None:
    """A line is read once it is whole, and the log of each process of a replica counts."""
    server = Server(0, tmp_path, tmp_path / "server.toml")
    log = CallLog(server)
    line = (
        '{"time":"1970-01-01T00:00:10+00:00","message":"call","request_id":"unary-%s","code":"OK","duration_ms":500}\n'
    )
    for name in ("first.log", "second.log"):
        (tmp_path / name).write_text('{"message":"serving"}\n')
        server.logs.append(tmp_path / name)

    with server.logs[0].open("a") as first, server.logs[1].open("a") as second:
        print(line % "a-1", end="", file=first, flush=True)
        assert [request_id for request_id, _ in log.read()] == ["unary-a-1"]
        print((line % "b-2")[:30], end="", file=second, flush=True)
        assert [request_id for request_id, _ in log.read()] == ["unary-a-1"]
        print((line % "b-2")[30:], end="", file=second, flush=True)

    assert [call for _, call in log.read()] == [EndedCall("OK", 9.5)] * 2
    assert (log.has_served("b", 9.0), log.has_served("b", 9.6), log.has_served("c", 0.0)) == (True, False, False)


def test_the_configuration_of_envoy_gets_other_hosts(tmp_path: Path) -> None:
    """The servers get hosts of their own; the listener and the admin pages stay on loopback."""
    file = tmp_path / "envoy.yaml"

    write_config(file, listener=1001, admin=1002, servers=[1003] * 3, hosts=["10.0.0.1", "10.0.0.2", "10.0.0.3"])

    assert re.findall(r"address: ([\d.]+), port_value: (\d+)", file.read_text()) == [
        ("127.0.0.1", "1002"),
        ("127.0.0.1", "1001"),
        ("10.0.0.1", "1003"),
        ("10.0.0.2", "1003"),
        ("10.0.0.3", "1003"),
    ]
