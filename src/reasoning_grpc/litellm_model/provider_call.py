"""`ProviderCall`: one call of a provider, and its answer, whichever way it goes."""

from abc import ABC, abstractmethod
from collections.abc import Awaitable
from typing import Any, Final

from msgspec.structs import replace

from reasoning_grpc.domain import CallContext, Deployment, Usage
from reasoning_grpc.domain.errors import UpstreamParameterUnsupported
from reasoning_grpc.domain.events import Delta
from reasoning_grpc.litellm_model.answers import AnswerRecord
from reasoning_grpc.litellm_model.failures import convert_failure
from reasoning_grpc.litellm_model.request import PreparedCall, prepare_call
from reasoning_grpc.litellm_model.transport.exchange import Exchange
from reasoning_grpc.llm import ModelCall
from reasoning_grpc.telemetry import build_trace_headers

_OPTIONAL_DEFAULTS: Final = ("top_p", "temperature", "top_k")
"""The defaults of a model without which a call may be made; a model takes the last ones more often."""


class ProviderCall(ABC):
    """One call and its answer."""

    wire: str = ""
    """The API of the provider through which the call goes; "litellm" where litellm alone knows it."""

    def __init__(
        self,
        call: ModelCall,
        deployment: Deployment,
        exchange: Exchange,
        reader: AnswerRecord,
        prepared: PreparedCall,
    ) -> None:
        """`prepared` is the call as its provider takes it."""
        self._call = call
        self._deployment = deployment
        self._exchange = exchange
        self._prepared = prepared
        self.reader = reader

    async def open(self) -> None:
        """Sends the request, and returns when the answer begins.

        A default of the model that the model does not take in this call is left out.
        Raises litellm's exceptions; those of our client are in their chain.
        """
        while True:
            try:
                self._check()
                return await self._open(self._prepared)
            except Exception as exc:
                refused = self._find_refused_defaults(exc)
                if not refused:
                    raise
                unset: dict[str, Any] = dict.fromkeys(refused)
                self._deployment = replace(self._deployment, sampling=replace(self._deployment.sampling, **unset))
                self._prepared = prepare_call(self._call, self._deployment)

    @abstractmethod
    async def _open(self, prepared: PreparedCall) -> None:
        """Sends the prepared call, and returns when the answer begins."""

    @abstractmethod
    def next_deltas(self) -> Awaitable[list[Delta] | None]:
        """Returns what has arrived of the answer, perhaps nothing; None at its end, when `reader` knows how it ended.

        Raises litellm's exceptions, and what our own reader raises; those of our client are in the chain of litellm's.
        """

    def read_usage_so_far(self, estimated_input_tokens: int) -> Usage | None:
        """Returns what the provider has counted so far; None where it has counted nothing."""
        return self.reader.build_usage(estimated_input_tokens) if self.reader.has_counts else None

    @property
    def is_reached(self) -> bool:
        """Whether the upstream may have received the request."""
        return self._exchange.is_sent

    def may_be_sent(self) -> bool:
        """Whether it is possible that the request was sent."""
        return self._exchange.is_sent

    @property
    @abstractmethod
    def is_unsent(self) -> bool:
        """Whether it is certain that nobody has tried to send the request."""

    @property
    def waited_seconds(self) -> float:
        """Time spent waiting for the upstream, and for litellm too, where the connection is litellm's."""
        return self._exchange.waited_seconds

    async def aclose(self) -> None:
        """Stops whatever reads the answer besides the exchange."""
        return

    def _check(self) -> None:
        if violations := self._prepared.violations:
            raise UpstreamParameterUnsupported(
                model=self._deployment.name, is_upstream_reached=False, violations=violations
            )

    def _find_refused_defaults(self, exc: Exception) -> list[str]:
        """Returns the defaults of the model for which a request was refused before anything was sent.

        litellm does not name all of them. Where it names none, they are left out one by one.
        """
        defaults, requested = self._deployment.sampling, self._call.sampling
        added = [name for name in _OPTIONAL_DEFAULTS if getattr(defaults, name) is not None]
        added = [name for name in added if getattr(requested, name) is None]
        if not added:
            return []
        error = convert_failure(exc, self._deployment, is_upstream_reached=self._exchange.is_sent)
        if not isinstance(error, UpstreamParameterUnsupported) or error.is_upstream_reached:
            return []
        named = {violation.field for violation in error.violations}
        return [name for name in added if f"sampling.{name}" in named] or added[:1]


def build_headers(deployment: Deployment, context: CallContext) -> dict[str, str]:
    """Returns the headers of every request to an upstream: whose request it is, and in which trace."""
    return {
        "X-Client-Request-Id": context.request_id,  # OpenAI's name for the client's own id; others ignore it
        **build_trace_headers(context.trace),
        **deployment.headers,
    }
