"""`python -m tests.support.differential [MODELS [REQUESTS]]`: prints what became of the requests, by outcome.

Both arguments are patterns for names; the problems of requests that are none of the three outcomes follow the counts.
"""

import asyncio
import re
import sys
from collections import Counter, defaultdict
from typing import Final

from tests.support.differential.capturing import CapturingUpstream
from tests.support.differential.outcomes import Kind, Outcome, judge_all
from tests.support.differential.requests import list_cases
from tests.support.differential.targets import TARGETS, build_config
from tests.support.serving import serving

_SHOWN: Final = 8


async def _main(models: str = "", requests: str = "") -> None:
    targets = [target for target in TARGETS if re.search(models, target.name)]
    outcomes: list[Outcome] = []
    async with CapturingUpstream() as upstream, serving(build_config(targets, upstream)) as running:
        for target in targets:
            cases = [case for case in list_cases(target) if re.search(requests, case.name)]
            outcomes += await judge_all(running, upstream, target, cases)
    counts = Counter(outcome.kind for outcome in outcomes)
    print(f"{len(outcomes)} requests:", ", ".join(f"{kind} {counts[kind]}" for kind in Kind))
    found: dict[tuple[str, str], list[tuple[Outcome, str]]] = defaultdict(list)
    for outcome in outcomes:
        for problem in outcome.problems:
            details = [each for each in outcome.details if problem.partition(": ")[2] in each] or outcome.details
            found[outcome.target.prefix, problem].append((outcome, details[0] if details else ""))
    for (prefix, problem), occurrences in sorted(found.items(), key=lambda each: each[0]):
        names = list(dict.fromkeys(outcome.target.litellm_model.partition("/")[2] for outcome, _ in occurrences))
        cases_of = list(dict.fromkeys(outcome.case.name for outcome, _ in occurrences))
        print(f"\n{prefix}: {problem}\n  {', '.join(names)}\n  {'; '.join(cases_of[:_SHOWN])} ({len(cases_of)})")
        print(f"  {occurrences[0][1]}")


asyncio.run(_main(*sys.argv[1:]))
