"""Calls of a soak begin at a constant rate."""

from tests.history.pace import Pace


class Clock:
    """A clock that is moved by those who sleep."""

    def __init__(self) -> None:
        self.now = 100.0

    def read(self) -> float:
        """Returns the time."""
        return self.now

    async def sleep(self, seconds: float) -> None:
        """Moves the clock."""
        self.now += seconds


async def test_calls_begin_in_equal_intervals() -> None:
    """The first one begins at once."""
    clock = Clock()
    pace = Pace(4, clock.read, clock.sleep)
    begun = []

    for _ in range(4):
        await pace.wait()
        begun.append(clock.now)

    assert begun == [100.0, 100.25, 100.5, 100.75]


async def test_a_delay_is_not_made_up_for() -> None:
    """After a time in which the machine was too slow, calls begin in the same intervals as before."""
    clock = Clock()
    pace = Pace(4, clock.read, clock.sleep)
    await pace.wait()
    clock.now += 60
    begun = []

    for _ in range(3):
        await pace.wait()
        begun.append(clock.now)

    assert begun == [160.0, 160.25, 160.5]
