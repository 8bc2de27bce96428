"""`EmbeddingClassifier`: chooses a route by the embedding, and asks a model where the embedding is not sure."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from reasoning_grpc.domain import CallContext, Classification, CompletionRequest, read_clock
from reasoning_grpc.domain.errors import ModelNotFound, ServerOverloaded
from reasoning_grpc.router.classifier import Classifier, EventCallback, Verdict
from reasoning_grpc.router.embedding.conversation import describe_conversation
from reasoning_grpc.router.embedding.encoder import MODEL_NAME, EmbeddingUnusable
from reasoning_grpc.router.embedding.runner import EmbeddingBusy, EmbeddingRunner
from reasoning_grpc.router.routes import Route

if TYPE_CHECKING:
    from reasoning_grpc.router.embedding.learning import TrainedRouter

_SECONDS: Final = 2.0
"""The embedding takes milliseconds; an answer after this long is no longer worth waiting for."""
_LOADING_SECONDS: Final = 15.0
"""The first call waits this long for the embedding to be loaded, if it was not loaded at start."""
_SHARE_OF_DEADLINE: Final = 0.25
"""The part of the caller's remaining time that the embedding may take."""
_LEAST_ROUTES: Final = 2
_TOO_FEW_ROUTES: Final = "The embedding has no examples of at least two of these routes."
_NOT_IN_TIME: Final = "The embedding did not choose a route in time."

RouterTraining = Callable[[EmbeddingRunner], Awaitable["TrainedRouter"]]
"""Trains a router with the embedding of the runner, or reads one that was trained."""

logger = logging.getLogger("reasoning_grpc.router")


class EmbeddingClassifier:
    """Chooses the route by the embedding where its confidence reaches `threshold`; otherwise `model` is asked."""

    def __init__(
        self,
        runner: EmbeddingRunner,
        train: RouterTraining,
        *,
        model: Classifier | None,
        threshold: float,
        max_messages: int,
    ) -> None:
        """`train` makes the router from the runner's embedding, once. None for `model`: the embedding decides alone.

        The embedding reads at most `max_messages` from the end of a conversation.
        """
        self._runner = runner
        self._train = train
        self._model = model
        self._threshold = threshold
        self._max_messages = max_messages
        self._training: asyncio.Task[TrainedRouter] | None = None

    async def start(self) -> "TrainedRouter":
        """Loads the embedding and trains the router, unless that was done. Raises EmbeddingUnusable."""
        if self._training is None:
            self._training = asyncio.create_task(self._prepare(), name="train the router")
        return await asyncio.shield(self._training)

    async def aclose(self) -> None:
        """Ends a training that is in progress."""
        if self._training is not None:
            self._training.cancel()
            await asyncio.gather(self._training, return_exceptions=True)

    async def classify(
        self,
        request: CompletionRequest,
        routes: Sequence[Route],
        context: CallContext,
        on_event: EventCallback,
        *,
        rules_only: bool = False,
    ) -> Verdict:
        """See `Classifier.classify`."""
        names = tuple(route.name for route in routes)
        if rules_only:
            if self._model is not None:
                return await self._model.classify(request, routes, context, on_event, rules_only=True)
            return Verdict(classification=Classification(model=MODEL_NAME, routes=names, skipped=True))
        verdict = await self._embed(request, names, context)
        if self._model is None or (verdict.confidence is not None and verdict.confidence >= self._threshold):
            return verdict
        asked = await self._model.classify(request, routes, context, on_event)
        if asked.route or not verdict.route:
            return asked
        return Verdict(verdict.route, asked.classification, verdict.confidence)

    async def _embed(self, request: CompletionRequest, names: tuple[str, ...], context: CallContext) -> Verdict:
        """Returns the embedding's verdict, without a route when it is not in time or knows too few of the routes."""
        started = read_clock()
        draft = Classification(model=MODEL_NAME, routes=names)
        try:
            async with asyncio.timeout(self._limit_seconds(context)):
                router = await self.start()
                known = tuple(name for name in names if name in router.routes)
                if len(known) < _LEAST_ROUTES:
                    return _fail(draft, ModelNotFound.reason, _TOO_FEW_ROUTES)
                described = describe_conversation(request.messages, max_messages=self._max_messages)
                features = await self._runner.encode(described)
        except (TimeoutError, EmbeddingBusy):
            return _fail(draft, ServerOverloaded.reason, _NOT_IN_TIME)
        except EmbeddingUnusable as error:
            return _fail(draft, ModelNotFound.reason, str(error))
        route, confidence = _choose(router.estimate(features, known))
        return Verdict(route, replace(draft, routes=known, latency_seconds=read_clock() - started), confidence)

    def _limit_seconds(self, context: CallContext) -> float:
        is_ready = self._training is not None and self._training.done()
        seconds, remaining = (_SECONDS if is_ready else _LOADING_SECONDS), context.remaining_seconds()
        return seconds if remaining is None else min(seconds, remaining * _SHARE_OF_DEADLINE)

    async def _prepare(self) -> "TrainedRouter":
        started = read_clock()
        try:
            router = await self._train(self._runner)
        except EmbeddingUnusable as error:
            logger.warning("the router's embedding is not used", extra={"cause": str(error)})
            raise
        facts = {"routes": list(router.routes), "examples": router.examples}
        logger.info("the router is trained", extra={**facts, "seconds": round(read_clock() - started, 2)})
        return router


def _fail(draft: Classification, reason: str, detail: str) -> Verdict:
    return Verdict(classification=replace(draft, failure=reason, failure_detail=detail))


def _choose(probabilities: Mapping[str, float]) -> tuple[str, float]:
    return max(probabilities.items(), key=lambda each: each[1])
