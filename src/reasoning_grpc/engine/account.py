"""`Account`: the tokens and the cost of one request, added up as its model calls end."""

from msgspec import Struct, field

from reasoning_grpc.domain import Cost, CostSum, ModelCallUsage, Prices, Usage


class Account(Struct):
    """The tokens and the cost of a request so far. Reading them takes as long after many model calls as after one."""

    _calls: dict[int, ModelCallUsage] = field(default_factory=dict)
    """The tokens of each model call by its number."""
    attempts: list[ModelCallUsage] = field(default_factory=list)
    """The tokens of each attempt, in the order in which they were recorded."""
    _usage: Usage | None = None
    _step_usage: Usage | None = None
    _costs: CostSum = field(default_factory=CostSum)

    def record(self, attempt: ModelCallUsage, prices: Prices) -> None:
        """Records the tokens of one attempt at a model call, at the prices of its model."""
        call, usage = attempt.call, attempt.usage
        self.attempts.append(attempt)
        before = self._calls.get(call)
        if before is not None:
            attempt = ModelCallUsage(call, attempt.purpose, attempt.model, before.usage + usage, attempt.task)
        self._calls[call] = attempt
        self._usage = usage if self._usage is None else self._usage + usage
        self._step_usage = usage if self._step_usage is None else self._step_usage + usage
        self._costs.add(attempt.model, usage, prices)

    def begin_step(self) -> None:
        """Begins the sum of another step."""
        self._step_usage = None

    def usage(self) -> Usage | None:
        """Returns the tokens of all model calls; None when none was counted."""
        return self._usage

    def step_usage(self) -> Usage | None:
        """Returns the tokens since the last step began; None when it used none."""
        return self._step_usage

    def cost(self) -> Cost | None:
        """Returns the cost of all model calls; None when a price of one of the models is not known."""
        return self._costs.build_cost()

    def unpriced_model(self) -> str:
        """Returns a model for which the cost is not known, because a price is not; empty when there is none."""
        return self._costs.unpriced_model

    def model_calls(self) -> tuple[ModelCallUsage, ...]:
        """Returns one entry for each model call: the sum of its attempts, with the model that was tried last."""
        return tuple(self._calls.values())
