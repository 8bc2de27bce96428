"""What writes the figures into docs/performance.md: `make performance-page` itself does it after a run."""

import json
import re
from typing import Any, Final

import pytest

from bench.figures import Figure
from bench.growth import GROWTHS
from bench.profiler import Profile, count_layers, find_layer
from bench.report import write_json
from scripts.pages import ROOT
from scripts.performance_page import PAGE, PARTS, PLOT, build_costs, format_number, replace_parts

FIGURES: Final = {
    ("mock", "ours", "busy_share"): Figure((0.01, 0.021)),
    ("unary", "ours", "cpu_ms_per_request"): Figure((1.0, 1.0, 1.2)),
    ("unary", "ours", "requests_per_cpu_second"): Figure((1000.0, 1000.0, 833.0)),
    ("unary", "baseline", "cpu_ms_per_request"): Figure((10.0, 10.0, 10.0)),
    ("unary", "ours_traced", "cpu_ms_per_request"): Figure((1.5, 1.5, 1.5)),
    **{
        ("growth_chunks", "ours", f"cpu_ms {size}"): Figure((1 + size * 0.002, 1 + size * 0.002))
        for size in GROWTHS[0].sizes
    },
    **{("growth_agent", "ours", f"cpu_ms {size}"): Figure((size**2 / 10,)) for size in GROWTHS[-1].sizes},
}
"""A linear cost of chunks, and a quadratic one of steps."""
PROFILES: Final = {
    "baseline": Profile(10_000.0, {"litellm": 0.75, "router": 0.25}, 400),
    "ours": Profile(1000.0, {"router": 0.5, "log of the call": 0.5}, 200),
}
EMPTY: Final = "\n".join(f"<!-- {name}: written -->\n<!-- end of {name} -->\n" for name in PARTS)


@pytest.fixture
def run(tmp_path: Any) -> dict[str, Any]:
    """What a run has written."""
    file = tmp_path / "figures.json"
    write_json(FIGURES, PROFILES, file, command="make bench")
    summary: dict[str, Any] = json.loads(file.read_text())
    return summary


def test_the_page_has_every_part_and_its_plot() -> None:
    """Each part that the script writes stands in the page once, and the plot is there."""
    page = PAGE.read_text("utf-8")

    assert [len(re.findall(rf"<!-- {name}: .*-->\n(?s:.*?)<!-- end of {name} -->", page)) for name in PARTS] == [1] * 5
    assert PLOT.stat().st_size < 150_000


def test_a_page_without_a_part_is_no_page(run: dict[str, Any]) -> None:
    """A part that was deleted by mistake is an error, since its figures would stay out."""
    with pytest.raises(ValueError, match="the part targets once"):
        replace_parts(EMPTY.replace("targets", "other"), run)


def test_a_page_is_written_once(run: dict[str, Any]) -> None:
    """Writing the same run again changes nothing, and the text around the parts stays."""
    page = replace_parts(f"before\n{EMPTY}after\n", run)

    assert replace_parts(page, run) == page
    assert page.startswith("before\n")
    assert page.endswith("after\n")


def test_the_run_names_itself(run: dict[str, Any]) -> None:
    """The page says by which command, when, where and beside whom the figures were measured."""
    page = replace_parts(EMPTY, run)

    assert "- **Command:** `make bench`\n" in page
    assert f"- **Date:** {run['date']}\n" in page
    assert "`tensorzero==" in page
    assert "- **Rounds:** 3\n" in page
    assert "busy for at most 2.1% of the time" in page


def test_targets_say_what_was_reached(run: dict[str, Any]) -> None:
    """A ratio is shown with its spread and its target; one without a target is only shown."""
    page = replace_parts(EMPTY, run)

    assert "| CPU of a unary call, to the older build | 0.1 | 0.1 to 0.12 | at most 0.2 | yes |\n" in page
    assert "without an exporter | 1.5 | 1.25 to 1.5 | - | - |\n" in page


def test_a_target_that_was_missed_stands_out(run: dict[str, Any]) -> None:
    """The table says in bold type which ratio was not reached."""
    run["targets"][0] |= {"median": 0.3, "is_met": False}

    assert "| 0.3 | 0.1 to 0.12 | at most 0.2 | **no** |\n" in replace_parts(EMPTY, run)


def test_figures_have_a_column_for_each_service_that_was_measured(run: dict[str, Any]) -> None:
    """A service that did not run has no column, and a figure that it does not have is a dash."""
    page = replace_parts(EMPTY, run)

    assert "| figure | reasoning-grpc | with traces exported | older build |\n" in page
    assert "| unary calls per CPU-second | 1,000 | - | - |\n" in page


def test_a_linear_cost_is_told_from_a_quadratic_one(run: dict[str, Any]) -> None:
    """What a call costs whatever its size drops out, and a cost that grows with the square is found."""
    page = replace_parts(EMPTY, run)

    assert "| CPU in us of one more | - | 2 | 2 | 2 |\n" in page
    assert "is 1 times the one before it (1 to 1; at most 1.5): no faster than linear." in page
    assert "is 2.4 times the one before it (2.4 to 2.4; at most 1.5): **not shown to be linear**." in page


def test_noise_above_the_cost_is_not_linear() -> None:
    """A ratio below zero shows nothing, so it does not count as linear."""
    figures = {("growth_chunks", "ours", f"cpu_ms {size}"): Figure((cost,)) for size, cost in
               zip(GROWTHS[0].sizes, (2.0, 3.0, 2.9, 9.0), strict=True)}  # fmt: skip

    assert not GROWTHS[0].is_linear(figures)


def test_the_largest_costs_stand_beside_those_of_the_older_build(run: dict[str, Any]) -> None:
    """A layer that only one of the builds has costs nothing in the other one."""
    assert "| litellm | 7,500 | 75.0% | 0 | 0.0% |" in list(build_costs(run))
    assert "| router | 2,500 | 25.0% | 500 | 50.0% |" in list(build_costs(run))


def test_a_run_without_growth_and_profile_says_so(run: dict[str, Any]) -> None:
    """A quick run leaves both out, and the page does not keep the tables of an earlier one."""
    page = replace_parts(replace_parts(EMPTY, run), run | {"growths": [], "profiles": {}})

    assert page.count("The run left this out.") == 2
    assert "linear" not in page


@pytest.mark.parametrize(
    ("value", "text"), [(0.01234, "0.0123"), (7.0, "7"), (99.94, "99.9"), (123.4, "123"), (12_345.6, "12,346")]
)
def test_numbers_have_three_digits_that_count(value: float, text: str) -> None:
    """Large numbers are whole, with commas."""
    assert format_number(value) == text


@pytest.mark.parametrize(
    ("stack", "layer"),
    [
        ("main (/x/reasoning_grpc/cli/main.py:1);Handle._run (/python/asyncio/events.py:80)", "grpc.aio in C"),
        ("choose (/x/reasoning_grpc/router/router.py:1);loads (/python/json/__init__.py:1)", "router"),
        ("read (/x/reasoning_grpc/litellm_model/own_reader.py:1);send (/p/site-packages/aiohttp/a.py:2)", "aiohttp"),
        ("run (/python/asyncio/a.py:1);EpollSelector.select (/python/selectors.py:468)", "the event loop's calls"),
        (
            "read (/x/reasoning_grpc/litellm_model/transport/sse.py:1);write (/python/asyncio/a.py:1)",
            "our part of HTTP",
        ),
        ("start (/python/other.py:1)", "the rest"),
    ],
)
def test_a_sample_belongs_to_its_innermost_layer(stack: str, layer: str) -> None:
    """The standard library counts for the code that calls it, and the event loop only where nothing else ran."""
    assert find_layer(stack).startswith(layer)


def test_samples_of_other_threads_are_not_counted() -> None:
    """py-spy takes threads that wait for the main one for busy, so the system says what they take."""
    other = "Thread._bootstrap (/python/threading.py:1002);_worker (/python/concurrent/futures/thread.py:81) 50"
    routing = "choose (/x/reasoning_grpc/router/router.py:1) 2"

    assert count_layers([other, routing, routing]) == {"router": 4}


def test_every_layer_of_this_build_is_there() -> None:
    """Each folder of the package that a unary call crosses has files that a pattern finds."""
    source = ROOT / "src" / "reasoning_grpc"
    found = {find_layer(f"f ({file}:1)") for file in source.rglob("*.py") if "/v1/" not in file.as_posix()}

    assert {"router", "engine, ledger and events", "log of the call", "reading and joining the answer"} <= found
