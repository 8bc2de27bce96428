"""What a call is and what it meets depends on the seed and its number alone."""

from tests.history.plan import Fault, Mode, Rpc, Turn, are_twins, find_number, plan_call, plan_exchange

NUMBERS = range(600)


def test_a_plan_depends_on_seed_and_number_alone() -> None:
    """Plans that are drawn in any order, and again, are the same; another seed has others."""
    forwards = [plan_call(5, number) for number in NUMBERS]
    backwards = [plan_call(5, number) for number in reversed(NUMBERS)]

    assert forwards == backwards[::-1]
    assert forwards != [plan_call(6, number) for number in NUMBERS]
    assert plan_exchange(5, 17, 2) == plan_exchange(5, 17, 2) != plan_exchange(5, 17, 3)


def test_twins_request_the_same_and_meet_the_same() -> None:
    """The calls 2n and 2n + 1 differ in their RPC and their client's patience alone."""
    for number in filter(are_twins, NUMBERS[::2]):
        stream, unary = plan_call(5, number), plan_call(5, number + 1)
        assert (stream.rpc, unary.rpc) == (Rpc.STREAM, Rpc.COMPLETE)
        assert (stream.mode, stream.model, stream.fallbacks) == (unary.mode, unary.model, unary.fallbacks)
        assert plan_exchange(5, number, 1) == plan_exchange(5, number + 1, 1)


def test_every_kind_of_call_and_fault_is_drawn() -> None:
    """A round has every RPC, mode and fault, and clients that cancel, that have a deadline and that wait."""
    calls = [plan_call(5, number) for number in NUMBERS]
    faults = {plan_exchange(5, number, ordinal).fault for number in NUMBERS for ordinal in (1, 2)}

    assert {call.rpc for call in calls} == set(Rpc)
    assert {call.mode for call in calls} == set(Mode)
    assert faults == set(Fault)
    assert {call.is_patient for call in calls} == {True, False}
    assert any(call.deadline_seconds for call in calls)
    assert any(call.cancel_after_events for call in calls)
    assert any(call.cancel_after_seconds for call in calls)
    assert {call.mode for call in calls if call.may_pause} == {Mode.REASONING}


def test_a_call_that_goes_on_repeats_the_first_one() -> None:
    """It has a number of its own, the request of the first call, and another client's patience; it does not pause."""
    first = next(call for number in NUMBERS if (call := plan_call(5, number)).may_pause)
    numbers = [find_number(first.number, turn) for turn in Turn]
    calls = [plan_call(5, number) for number in numbers]

    assert calls[0] == first
    assert len(set(numbers)) == 3
    assert [call.number for call in calls] == numbers
    assert [call.turn for call in calls] == list(Turn)
    assert [call.may_pause for call in calls] == [True, False, False]
    assert all(are_twins(number) for number in numbers)
    for call in calls:
        assert (call.rpc, call.mode, call.model) == (first.rpc, first.mode, first.model)
        assert (call.includes_all, call.has_own_tool) == (first.includes_all, True)
