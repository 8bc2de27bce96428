"""`ModelCallQuotas`: reserves the tokens and the cost of a model call, and settles them when the call ends."""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from reasoning_grpc.domain import (
    OPTION_NAMES,
    CallContext,
    CallerLimits,
    CallerQuotas,
    CostSum,
    Prices,
    QuotaKind,
    Usage,
    UsageSource,
    format_amount,
)
from reasoning_grpc.domain.errors import FieldViolation, RequestTooLarge
from reasoning_grpc.domain.events import Event
from reasoning_grpc.llm.answer_sizes import AnswerSizes
from reasoning_grpc.llm.billed_usage import BilledUsage
from reasoning_grpc.llm.port import ModelCall
from reasoning_grpc.llm.token_estimates import estimate_text_tokens, sum_prompt_tokens


class ModelCallQuotas:
    """Keeps the model calls of callers within their tokens a minute and their dollars a day.

    What is reserved is an estimate: the prompt, and an answer as long as those of the model usually are, or as the call
    allows. What counts in the end is what the provider has counted. So a call is never cut by a limit, and the next one
    waits for what this one used too much.
    """

    def __init__(self, quotas: CallerQuotas) -> None:
        self._quotas = quotas
        self._answers = AnswerSizes()

    async def stream_within_limits(
        self,
        call: ModelCall,
        prices: Prices,
        context: CallContext,
        limits: CallerLimits,
        stream: Callable[[], AsyncGenerator[Event, None]],
    ) -> AsyncGenerator[Event, None]:
        """Yields the events of a model call, which `stream` begins, once its tokens and its cost are reserved.

        Raises CallerLimitReached, and RequestTooLarge for a prompt that alone is more than a limit. Nothing was sent
        then.
        """
        caller = context.caller.name
        amounts = self._estimate(call, prices, limits)
        reservation = await self._quotas.reserve(caller, limits, amounts)
        used = BilledUsage()
        try:
            async with aclosing(stream()) as events:
                async for event in events:
                    used.record(event)
                    yield event
        except BaseException as error:
            used.close(error)
            raise
        finally:
            reservation.settle({QuotaKind.TOKENS: used.tokens, QuotaKind.COST: used.nano_usd})
            if used.output_tokens is not None:
                self._answers.record(call.model, used.output_tokens)

    def _estimate(self, call: ModelCall, prices: Prices, limits: CallerLimits) -> dict[QuotaKind, int]:
        """Returns the tokens and the cost to reserve. An answer that may be too long for a limit reserves all of it."""
        prompt = sum_prompt_tokens(call, estimate_text_tokens)
        answer = self._answers.estimate(call.model)
        if call.sampling.max_output_tokens is not None:
            answer = min(answer, call.sampling.max_output_tokens)
        amounts: dict[QuotaKind, int] = {}
        if (limit := limits.tokens_per_minute) is not None:
            amounts[QuotaKind.TOKENS] = _bound(QuotaKind.TOKENS, limit, lambda: prompt, prompt + answer)
        if (limit := limits.nano_usd_per_day) is not None:
            cost = _find_cost(call.model, prompt, answer, prices)
            amounts[QuotaKind.COST] = _bound(
                QuotaKind.COST, limit, lambda: _find_cost(call.model, prompt, 0, prices), cost
            )
        return amounts


def _bound(kind: QuotaKind, limit: int, find_prompt: Callable[[], int], whole: int) -> int:
    """Returns the estimate of a whole call, at most the limit. Raises RequestTooLarge when the prompt exceeds it."""
    if whole <= limit:
        return whole
    prompt = find_prompt()
    if prompt > limit:
        needed, maximum = format_amount(kind, prompt), format_amount(kind, limit)
        description = f"They need about {needed} {kind}; the limit {OPTION_NAMES[kind]} of the caller is {maximum}."
        raise RequestTooLarge(violations=(FieldViolation("messages", description),))
    return limit


def _find_cost(model: str, prompt: int, answer: int, prices: Prices) -> int:
    """Returns the cost of a call in nano-dollars; 0 when a price is not known."""
    costs = CostSum()
    costs.add(model, Usage(prompt, answer, prompt + answer, UsageSource.ESTIMATED), prices)
    cost = costs.build_cost()
    return 0 if cost is None else cost.total_nano_usd
