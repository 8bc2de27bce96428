"""`OwnCall`: a call whose request we send, and whose answer we read, without litellm."""

from abc import abstractmethod
from collections.abc import Awaitable, Mapping

from yarl import URL

from reasoning_grpc.domain.events import Delta
from reasoning_grpc.litellm_model.own_reader import OwnAnswer
from reasoning_grpc.litellm_model.provider_call import ProviderCall
from reasoning_grpc.litellm_model.request import PreparedCall


class OwnCall(ProviderCall):
    """One call and its answer. A subclass builds the request."""

    _answer: OwnAnswer | None = None
    """None while nothing of the answer was read."""
    _is_sending = False

    @abstractmethod
    async def _open(self, prepared: PreparedCall) -> None:
        """See `ProviderCall`. It builds the request, and `_send`s it."""

    async def _send(self, url: str | URL, body: bytes, headers: Mapping[str, str]) -> None:
        """Sends the request, and returns when the answer begins."""
        self._is_sending = True
        await self._exchange.send(url, body, headers)

    def next_deltas(self) -> Awaitable[list[Delta] | None]:
        """See `ProviderCall.next_deltas`."""
        if self._answer is None:
            self._answer = OwnAnswer(self._exchange, self.reader)
        return self._answer.next_deltas()

    @property
    def is_unsent(self) -> bool:
        """See `ProviderCall.is_unsent`."""
        return not self._is_sending
