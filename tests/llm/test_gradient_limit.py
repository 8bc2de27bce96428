"""The adaptive limit of an upstream."""

from reasoning_grpc.llm.gradient_limit import GradientLimit

USUAL = 1.0
WINDOW = 1.01


class Upstream:
    """Answers for a limit, in windows of a second."""

    def __init__(self, limit: GradientLimit) -> None:
        self.limit = limit
        self._now = 0.0

    def answer(self, seconds: float, in_progress: int, windows: int = 1, samples: int = 20) -> None:
        """Records windows of answers that all begin after this time."""
        for _ in range(windows):
            for _ in range(samples):
                self._now += WINDOW / (samples - 1)
                self.limit.record(seconds, in_progress, self._now)

    def refuse(self) -> None:
        """Records a refusal."""
        self.limit.record_refusal(self._now)


def build_upstream() -> Upstream:
    return Upstream(GradientLimit(initial=20, minimum=4, maximum=200))


def test_it_grows_while_a_used_limit_costs_no_time() -> None:
    """Answers that begin as usual with all slots in use raise the limit, up to its maximum."""
    upstream = build_upstream()

    upstream.answer(USUAL, in_progress=20, windows=10)
    assert upstream.limit.limit > 20
    upstream.answer(USUAL, in_progress=200, windows=300)

    assert upstream.limit.limit == 200


def test_it_does_not_grow_when_it_is_not_used() -> None:
    """A limit that nobody reaches says nothing."""
    upstream = build_upstream()

    upstream.answer(USUAL, in_progress=2, windows=50)

    assert upstream.limit.limit == 20


def test_it_shrinks_when_answers_begin_late() -> None:
    """Answers that begin five times as late as usual lower the limit, never below its minimum."""
    upstream = build_upstream()
    upstream.answer(USUAL, in_progress=20, windows=5)
    before = upstream.limit.limit

    upstream.answer(5 * USUAL, in_progress=20, windows=3)
    assert upstream.limit.limit < before
    for factor in range(1, 200):
        upstream.answer(10 * factor * USUAL, in_progress=20)

    assert upstream.limit.limit >= 4


def test_milliseconds_say_nothing() -> None:
    """An upstream that answers in milliseconds is not full when its answers begin a hundred times as late."""
    upstream = build_upstream()
    upstream.answer(0.002, in_progress=20, windows=5)

    upstream.answer(0.2, in_progress=20, windows=3)

    assert upstream.limit.limit >= 20


def test_a_few_slow_answers_change_nothing() -> None:
    """A window with fewer samples than needed makes no step, whatever its answers took."""
    upstream = build_upstream()
    upstream.answer(USUAL, in_progress=5, windows=5)
    before = upstream.limit.limit

    upstream.answer(50 * USUAL, in_progress=20, samples=5)

    assert upstream.limit.limit == before


def test_what_lasts_becomes_usual() -> None:
    """An upstream that stays slower, with a model that thinks longer, gets its limit back."""
    upstream = build_upstream()
    upstream.answer(USUAL, in_progress=20, windows=5)
    upstream.answer(5 * USUAL, in_progress=20, windows=10)
    low = upstream.limit.limit

    upstream.answer(5 * USUAL, in_progress=20, windows=100)

    assert upstream.limit.limit > low


def test_a_refusal_lowers_it_once_a_window() -> None:
    """Many refusals at once are one piece of news."""
    upstream = build_upstream()

    for _ in range(50):
        upstream.refuse()
    assert upstream.limit.limit == 14
    upstream.answer(USUAL, in_progress=14)
    upstream.refuse()

    assert upstream.limit.limit == 9
