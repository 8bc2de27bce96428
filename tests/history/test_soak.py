"""The soak runs rounds, watches the server, writes a report, and fails for a violation or for growth."""

import asyncio
import json
import os
import sys
from asyncio.subprocess import PIPE
from pathlib import Path

import pytest

from tests.history.checker import Violation
from tests.history.report import Report
from tests.history.sampling import ROOT, Sample
from tests.support.commands import PATIENCE_SECONDS


def a_report(*, growth: float = 0.0, noise: float = 0.0, warm_up_hours: float = 0.0) -> Report:
    """Builds a report whose memory grows so many megabytes an hour, in samples of an hour."""
    report = Report(warm_up_hours)
    for number in range(240):
        memory = 100 + growth * number / 240 + noise * (number % 7)
        report.samples.append(Sample(number / 240, memory, descriptors=20, threads=30, tasks=10))
    return report


def test_a_server_that_does_not_grow_passes() -> None:
    """A soak without a violation, whose memory varies but does not grow, is passed."""
    assert list(a_report(noise=3).list_failures()) == []


def test_a_server_that_grows_fails() -> None:
    """Memory may grow by a megabyte an hour, and no more."""
    assert list(a_report(growth=0.9).list_failures()) == []
    assert list(a_report(growth=2).list_failures()) == ["memory_mb grows by 2.00 an hour, and may by 1"]


def test_the_warm_up_does_not_count() -> None:
    """What grows before the measuring begins is no failure."""
    report = a_report(warm_up_hours=0.5)
    report.samples[:60] = [Sample(number / 240, number, 20, 30, 10) for number in range(60)]

    assert list(report.list_failures()) == []


def test_a_violation_fails() -> None:
    """One violation fails the soak."""
    report = a_report()
    report.violations.append(Violation(1, 2, "a problem"))

    assert list(report.list_failures()) == ["1 violations"]


def test_too_few_samples_fail() -> None:
    """A soak that is too short to show that nothing grows is not passed."""
    report = a_report()
    del report.samples[5:]

    assert "too few samples for the slope of memory_mb" in list(report.list_failures())


def test_a_report_can_be_read_while_the_soak_goes_on(tmp_path: Path) -> None:
    """Each further report replaces both files."""
    file = tmp_path / "soak" / "report.json"
    report = a_report()
    report.calls["a call"] = 1

    for count in (1, 2):
        report.violations.append(Violation(1, count, "a problem"))
        report.write(file, seed=1)

        assert len(json.loads(file.read_text())["violations"]) == count
        assert f"{count} violations" in file.with_suffix(".txt").read_text()
    assert sorted(each.name for each in file.parent.iterdir()) == ["report.json", "report.txt"]


@pytest.mark.process
async def test_a_round_can_be_repeated_by_its_seed(tmp_path: Path) -> None:
    """`--rounds` runs the rounds from a seed on, and the report has their calls, faults and samples."""
    file = tmp_path / "report.json"
    options = ("--seed", "7", "--rounds", "1", "--calls", "24", "--report", str(file))

    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.history.soak", *options),
        cwd=ROOT,
        env={"PATH": os.environ["PATH"]},
        stdout=PIPE,
    )
    async with asyncio.timeout(PATIENCE_SECONDS):
        out, _ = await process.communicate()

    report = json.loads(file.read_text())
    assert process.returncode == 0, out.decode()
    assert sum(count for kind, count in report["calls"].items() if kind.endswith(", first")) == 24
    assert report["violations"] == []
    assert report["samples"][0]["tasks"] > 0
    assert report["samples"][0]["memory_mb"] > 10
    assert report["samples"][0]["cpu_seconds"] > 0.1
    assert file.with_suffix(".txt").read_text() in out.decode()
