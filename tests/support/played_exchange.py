"""`PlayedExchange`: an exchange whose answer is given, in the network reads that are given."""

from collections.abc import Sequence
from random import Random
from typing import Final

from reasoning_grpc.litellm_model.transport.connections import ConnectionPool
from reasoning_grpc.litellm_model.transport.exchange import Exchange, TransportLimits

_LIMITS: Final = TransportLimits(max_event_bytes=64 * 1024, max_answer_bytes=256 * 1024)
_MOST_CUTS: Final = 12


class PlayedExchange(Exchange):
    """Plays an answer that has arrived; nothing is sent, and nothing is waited for."""

    def __init__(self, reads: Sequence[bytes], content_type: str, *, knows_end: bool) -> None:
        """`knows_end` says whether the end of the body is known with its last bytes, or only by the read after."""
        super().__init__(ConnectionPool(limit=1), _LIMITS, {})
        self._reads = list(reads)
        self._knows_end = knows_end
        self._has_ended = False
        self.content_type = content_type
        self.is_sent = True

    async def _receive(self) -> bytes:
        if self._reads:
            return self._reads.pop(0)
        self._has_ended = True
        return b""

    @property
    def is_at_end(self) -> bool:
        """See `Exchange.is_at_end`."""
        return self._has_ended or (self._knows_end and not self._reads)


def cut(body: bytes, seed: int) -> list[bytes]:
    """Returns the body in network reads, none of which is empty; each seed cuts it elsewhere."""
    random = Random(seed)
    places = sorted({random.randrange(1, len(body)) for _ in range(random.randint(1, _MOST_CUTS))}) if body[1:] else []
    return [part for part in map(body.__getitem__, map(slice, [0, *places], [*places, len(body)])) if part]


def cut_evenly(body: bytes, size: int) -> list[bytes]:
    """Returns the body in network reads of this size."""
    return [body[at : at + size] for at in range(0, len(body), size)]
