"""`Amounts`: the amounts of reasoning that a model takes."""

from dataclasses import dataclass

from reasoning_grpc.domain import ReasoningEffort


@dataclass(frozen=True, slots=True)
class TokenRange:
    """The numbers of tokens that a model takes as a budget."""

    least: int = 1
    most: int | None = None
    """None where no largest number is known."""
    within_limit: bool = False
    """Whether a budget must be smaller than the limit of output tokens."""

    def move_into(self, tokens: int) -> int:
        """Returns the number in the range that is nearest to this one."""
        tokens = max(tokens, self.least)
        return tokens if self.most is None else min(tokens, self.most)


@dataclass(frozen=True, slots=True)
class Amounts:
    """The amounts of reasoning that one model takes. Without any of them, it takes no amount at all."""

    efforts: frozenset[ReasoningEffort] | None = None
    """The efforts that it takes, with NONE if it need not reason; None where they are not known."""
    budget: TokenRange | None = None
    """None where it takes no number of tokens."""
    is_switch: bool = False
    """Whether it only reasons or does not, so that all efforts but NONE are one and the same."""
    reasons_on_request: bool = False
    """Whether it reasons only on request, so that NONE needs no word."""

    @property
    def levels(self) -> frozenset[ReasoningEffort]:
        """Returns the known efforts with which it reasons."""
        return (self.efforts or frozenset()) - {ReasoningEffort.NONE}

    @property
    def is_known(self) -> bool:
        """Whether it is known which efforts it takes."""
        return self.efforts is not None

    @property
    def can_reason(self) -> bool:
        """Whether there is an amount with which it reasons, as far as is known."""
        return not self.is_known or bool(self.levels) or self.budget is not None or self.is_switch

    @property
    def can_rest(self) -> bool:
        """Whether it can answer without reasoning, as far as is known."""
        return self.efforts is None or ReasoningEffort.NONE in self.efforts
