"""Each state goes on once, and is forgotten when it has expired."""

from reasoning_grpc.pauses import MemoryUsedStates


async def test_a_state_is_used_once() -> None:
    """The second use is refused, and one that was released may be used again."""
    states = MemoryUsedStates()

    assert await states.use("a", 60)
    assert not await states.use("a", 60)
    assert await states.use("b", 60)
    states.release("a")
    assert await states.use("a", 60)


async def test_expired_states_are_forgotten() -> None:
    """Memory holds only states that could still be used."""
    now = [0.0]
    states = MemoryUsedStates(lambda: now[0])
    for number in range(100):
        assert await states.use(str(number), 10 + number % 2)

    now[0] = 10
    assert await states.use("new", 60)
    assert states.count() == 51
    assert not await states.use("1", 1)
    now[0] = 11
    assert await states.use("newer", 60)
    assert states.count() == 2


async def test_a_state_that_is_used_again_is_kept_as_long_as_it_lives() -> None:
    """The end of an earlier use, which was released, does not end a later one."""
    now = [0.0]
    states = MemoryUsedStates(lambda: now[0])
    await states.use("a", 10)
    states.release("a")
    now[0] = 5
    await states.use("a", 10)

    now[0] = 12
    assert not await states.use("a", 3)
