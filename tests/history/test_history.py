"""Mixed calls through a real server under random faults: what clients saw, the upstream's ledger and the log agree."""

from pathlib import Path

import pytest

from tests.history.checker import find_violations
from tests.history.rounds import serving_rounds

CALLS = 300
SEED = 16


@pytest.mark.process
async def test_histories_of_random_faults_have_no_violation(tmp_path: Path) -> None:
    """Whatever the upstream does and whenever clients leave, each answer is exact and each failure truthful."""
    async with serving_rounds(tmp_path) as rounds:
        history = await rounds.run(SEED, range(CALLS), concurrency=24)
        await rounds.stop()

    violations = find_violations(history)
    assert not violations, "\n".join(map(str, violations))
