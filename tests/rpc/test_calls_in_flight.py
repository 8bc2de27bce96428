"""When a draining server lets a refused call come again."""

import time

import pytest

from reasoning_grpc.domain import CallContext
from reasoning_grpc.domain.errors import ServerShuttingDown
from reasoning_grpc.rpc.calls_in_flight import CallTracker
from tests.support.factories import a_context


def refuse(call: CallContext) -> float:
    """Returns the delay with which a server refuses this call that drains for a minute."""
    tracker = CallTracker()
    tracker.drain(grace_seconds=60.0)
    with pytest.raises(ServerShuttingDown) as refusal:
        tracker.begin(call)
    assert refusal.value.retry_after_seconds is not None
    return refusal.value.retry_after_seconds


@pytest.mark.parametrize("attempts", [None, "1", "3", "x"])
async def test_a_refused_call_comes_again_after_a_second(attempts: str | None) -> None:
    """Most servers behind the same name serve it then."""
    metadata = {} if attempts is None else {"grpc-previous-rpc-attempts": attempts}

    assert refuse(a_context(metadata=metadata)) == 1.0


async def test_the_last_retry_comes_when_the_server_has_gone() -> None:
    """A client of round robin may meet this server with each of its attempts, and must not fail by that."""
    call = a_context(metadata={"grpc-previous-rpc-attempts": "2"})

    assert 55.0 < refuse(call) <= 61.0


async def test_the_last_retry_does_not_wait_beyond_the_deadline() -> None:
    """A delay beyond it would take the call its last chance."""
    call = a_context(metadata={"grpc-previous-rpc-attempts": "2"}, deadline=time.monotonic() + 20.0)

    assert refuse(call) == 1.0
