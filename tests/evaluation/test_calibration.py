"""The report says what a router's confidence is worth, draws it, and compares a run with an earlier one."""

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from reasoning_grpc.evaluation import (
    Case,
    InvalidCases,
    Outcome,
    build_routing_report,
    draw_calibration,
    read_earlier_run,
    read_judged_calls,
)
from reasoning_grpc.v1 import routing_pb2

EMBEDDING = routing_pb2.ROUTE_SOURCE_EMBEDDING


def an_outcome(
    name: str, *, is_right: bool, confidence: float | None = None, tags: tuple[str, ...] = (), language: str = ""
) -> Outcome:
    """Returns the outcome of a prompt that should be reasoned about."""
    decision = routing_pb2.RouteDecision(route="reasoning" if is_right else "passthrough", source=EMBEDDING)
    if confidence is not None:
        decision.confidence = confidence
    return Outcome(Case(name, "reasoning", (), tags, language), seconds=None, decision=decision)


def test_the_calibration_compares_confidence_and_success() -> None:
    """Ten decisions at 0.85, of which eight are right, and four at 1, all right, have the error that one computes."""
    outcomes = [an_outcome(f"a{number}", is_right=number < 8, confidence=0.85) for number in range(10)]
    outcomes += [an_outcome(f"b{number}", is_right=True, confidence=1.0) for number in range(4)]
    outcomes += [an_outcome("unsure", is_right=False)]

    calibration = build_routing_report(outcomes).calibration

    assert calibration is not None
    assert calibration.prompts == 14
    assert calibration.error == pytest.approx(10 / 14 * 0.05)
    assert calibration.brier == pytest.approx((8 * 0.15**2 + 2 * 0.85**2) / 14)
    assert [(each.low, each.high, each.prompts, each.right.hits) for each in calibration.bins] == [
        (0.8, 0.9, 10, 8),
        (0.9, 1.0, 4, 4),
    ]


def test_without_confidence_there_is_no_calibration() -> None:
    """A router that reports no confidence has no calibration, and a report without calls has no latency."""
    report = build_routing_report([an_outcome("a", is_right=True)])

    assert (report.calibration, report.call_latency, report.comparison) == (None, None, None)
    assert report.prompts[0].confidence is None


def test_the_plot_is_a_picture() -> None:
    """The plot is SVG with a point for each bin and the number of decisions in it."""
    outcomes = [an_outcome(f"{number}", is_right=number % 3 > 0, confidence=0.5 + number / 20) for number in range(10)]
    calibration = build_routing_report(outcomes).calibration
    assert calibration is not None

    picture = ElementTree.fromstring(draw_calibration(calibration))

    circles = picture.findall("{http://www.w3.org/2000/svg}circle")
    assert len(circles) == len(calibration.bins) == 5
    assert "10 decisions" in "".join(picture.itertext())


def test_a_run_is_compared_with_an_earlier_one_by_prompt(tmp_path: Path) -> None:
    """Only prompts of both runs count; the gain is the share of those won less those lost, by tag and language too."""
    earlier = {
        "prompts": [
            {"id": "a", "taken": "reasoning", "expected": "reasoning"},
            {"id": "b", "taken": None, "expected": "reasoning"},
            {"id": "c", "taken": "passthrough", "expected": "reasoning"},
            {"id": "gone", "taken": "passthrough", "expected": "reasoning"},
        ]
    }
    file = tmp_path / "earlier.json"
    file.write_text(json.dumps(earlier))
    outcomes = [
        an_outcome("a", is_right=True, tags=("t",), language="de"),
        an_outcome("b", is_right=True, tags=("t",), language="en"),
        an_outcome("c", is_right=True, language="en"),
        an_outcome("new", is_right=False, tags=("t",), language="de"),
    ]

    comparison = build_routing_report(outcomes, earlier=read_earlier_run(file)).comparison

    assert comparison is not None
    assert comparison.prompts == 3
    assert comparison.overall.difference == pytest.approx(2 / 3)
    assert {tag: each.difference for tag, each in comparison.tags.items()} == {"t": 0.5}
    assert {name: each.difference for name, each in comparison.languages.items()} == {"de": 0.0, "en": 1.0}


def test_a_file_that_is_no_report_is_refused(tmp_path: Path) -> None:
    """A file that `eval routing --json` did not print is no earlier run."""
    file = tmp_path / "earlier.json"
    file.write_text("[1]")

    with pytest.raises(InvalidCases, match="is not a report"):
        read_earlier_run(file)


def test_logged_calls_with_verdicts_become_outcomes(tmp_path: Path) -> None:
    """A logged call whose line has a verdict is a labelled prompt; other lines are left out."""
    lines = [
        {"message": "serving"},
        {
            "request_id": "r1",
            "route": "reasoning",
            "route_source": "EMBEDDING",
            "route_confidence": 0.9,
            "verdict": "right",
        },
        {
            "request_id": "r2",
            "route": "reasoning",
            "route_source": "CACHE",
            "duration_ms": 250,
            "verdict": "passthrough",
        },
        {"request_id": "r3", "route": "reasoning", "route_source": "CACHE"},
    ]
    file = tmp_path / "calls.jsonl"
    file.write_text("\n".join(map(json.dumps, lines)))

    report = build_routing_report(read_judged_calls(file))

    assert (report.accuracy.hits, report.accuracy.total) == (1, 2)
    assert report.confusion["passthrough"]["reasoning"] == 1
    assert report.calibration is not None
    assert report.calibration.prompts == 1
    assert report.call_latency is not None
    assert report.call_latency.max == 0.25
    assert {source: share.total for source, share in report.sources.items()} == {"CACHE": 1, "EMBEDDING": 1}


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("{", "line 1: is not JSON that can be read"),
        ('{"verdict": ""}', "line 1: request_id: must be a text that is not empty"),
        (
            '{"request_id": "r", "route": "x", "verdict": "x", "route_source": "LUCK"}',
            "line 1: route_source: must be the source of a decision",
        ),
        (
            '{"request_id": "r", "route": "x", "verdict": "x", "route_source": "RULE", "duration_ms": "1"}',
            "line 1: duration_ms: must be a number",
        ),
        ("{}", "holds no call with a verdict"),
    ],
)
def test_a_log_that_cannot_be_judged_is_refused(tmp_path: Path, line: str, problem: str) -> None:
    """Each mistake in a line with a verdict is reported with its line."""
    file = tmp_path / "calls.jsonl"
    file.write_text(line)

    with pytest.raises(InvalidCases) as refused:
        read_judged_calls(file)

    assert refused.value.problems == (problem,)
