"""`ProviderCall`: one call of a provider, and its answer, whichever way it goes."""

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator
from dataclasses import replace
from typing import Any

from reasoning_grpc.domain import CallContext, Deployment, Sampling, Usage
from reasoning_grpc.domain.errors import UpstreamParameterUnsupported
from reasoning_grpc.domain.events import Delta
from reasoning_grpc.litellm_model.answers import AnswerRecord
from reasoning_grpc.litellm_model.failures import convert_failure
from reasoning_grpc.litellm_model.request import PreparedCall, prepare_call
from reasoning_grpc.litellm_model.transport.exchange import Exchange
from reasoning_grpc.llm import ModelCall
from reasoning_grpc.telemetry import build_trace_headers


class ProviderCall(ABC):
    """One call and its answer."""

    def __init__(self, call: ModelCall, deployment: Deployment, exchange: Exchange, reader: AnswerRecord) -> None:
        self._call = call
        self._deployment = deployment
        self._exchange = exchange
        self.reader = reader

    async def open(self) -> None:
        """Sends the request, and returns when the answer begins.

        A default of the model that the model does not take in this call is left out.
        Raises litellm's exceptions; those of our client are in their chain.
        """
        while True:
            try:
                return await self._open(self._prepare())
            except Exception as exc:
                refused = self._find_refused_defaults(exc)
                if not refused:
                    raise
                unset: dict[str, Any] = dict.fromkeys(refused)
                self._deployment = replace(self._deployment, sampling=replace(self._deployment.sampling, **unset))

    @abstractmethod
    async def _open(self, prepared: PreparedCall) -> None:
        """Sends the prepared call, and returns when the answer begins."""

    @abstractmethod
    def deltas(self) -> AsyncGenerator[Delta, None]:
        """Returns the deltas of the answer; `reader` knows finish reason and usage when they end."""

    def read_usage_so_far(self, estimated_input_tokens: int) -> Usage | None:
        """Returns what the provider has counted so far; None where it has counted nothing."""
        return self.reader.build_usage(estimated_input_tokens) if self.reader.has_counts else None

    @property
    def is_reached(self) -> bool:
        """Whether the upstream may have received the request."""
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

    def _prepare(self) -> PreparedCall:
        prepared = prepare_call(self._call, self._deployment)
        if prepared.violations:
            raise UpstreamParameterUnsupported(
                model=self._deployment.name, is_upstream_reached=False, violations=prepared.violations
            )
        return prepared

    def _find_refused_defaults(self, exc: Exception) -> list[str]:
        """Returns the defaults of the model for which a request was refused before anything was sent."""
        defaults, requested = self._deployment.sampling, self._call.sampling
        if defaults == Sampling():
            return []
        error = convert_failure(exc, self._deployment, is_upstream_reached=self._exchange.is_sent)
        if not isinstance(error, UpstreamParameterUnsupported) or error.is_upstream_reached:
            return []
        refused = (violation.field.removeprefix("sampling.") for violation in error.violations)
        return [name for name in refused if getattr(requested, name, 0) is None and getattr(defaults, name) is not None]


def build_headers(deployment: Deployment, context: CallContext) -> dict[str, str]:
    """Returns the headers of every request to an upstream: whose request it is, and in which trace."""
    return {
        "X-Client-Request-Id": context.request_id,  # OpenAI's name for the client's own id; others ignore it
        **build_trace_headers(context.trace),
        **deployment.headers,
    }
