"""Compares a run with an earlier one on the same prompts, prompt by prompt."""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from reasoning_grpc.evaluation.cases import InvalidCases
from reasoning_grpc.evaluation.routing import Outcome
from reasoning_grpc.evaluation.routing_figures import Comparison
from reasoning_grpc.evaluation.statistics import Difference, compare_pairs

EarlierRun = Mapping[str, bool]
"""Whether an earlier run was right, by the id of the prompt."""


def read_earlier_run(file: Path) -> EarlierRun:
    """Reads the report that `eval routing --json` printed. Raises OSError and InvalidCases."""
    try:
        prompts = json.loads(file.read_bytes())["prompts"]
        return {prompt["id"]: prompt["taken"] == prompt["expected"] for prompt in prompts}
    except (ValueError, KeyError, TypeError, RecursionError) as exc:
        raise InvalidCases(["is not a report of eval routing --json"]) from exc


def compare_with_run(outcomes: Sequence[Outcome], earlier: EarlierRun) -> Comparison | None:
    """Returns the difference on the prompts that both runs have; None when they have none in common."""
    shared = [outcome for outcome in outcomes if outcome.case.id in earlier]
    if not shared:
        return None
    return Comparison(
        prompts=len(shared),
        overall=_compare(shared, earlier),
        tags=_compare_groups(shared, earlier, lambda outcome: outcome.case.tags),
        languages=_compare_groups(shared, earlier, lambda outcome: filter(None, [outcome.case.language])),
    )


def _compare_groups(
    outcomes: Sequence[Outcome], earlier: EarlierRun, list_keys: Callable[[Outcome], Iterable[str]]
) -> dict[str, Difference]:
    groups: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        for key in list_keys(outcome):
            groups.setdefault(key, []).append(outcome)
    return {key: _compare(groups[key], earlier) for key in sorted(groups)}


def _compare(outcomes: Sequence[Outcome], earlier: EarlierRun) -> Difference:
    pairs = Counter((outcome.is_right, earlier[outcome.case.id]) for outcome in outcomes)
    return compare_pairs(pairs[True, False], pairs[False, True], len(outcomes))
