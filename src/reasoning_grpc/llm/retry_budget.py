"""`RetryBudget`: bounds the retries of an upstream by the attempts at it, so that a failure is not multiplied."""

from typing import Final

_LARGEST_BALANCE: Final = 10.0


class RetryBudget:
    """A balance of retries: each attempt adds a share of a retry, and each retry takes one.

    With a share of a tenth, an upstream gets 1.11 requests for each call when everything fails, and ten more. A few
    failures among many calls are retried as if there were no budget. With a share of 1 there is none.
    """

    def __init__(self, share: float) -> None:
        self._share = share
        self._balance = _LARGEST_BALANCE
        self.attempts = 0
        """The attempts since the last retry was asked for. Each attempt adds one, and a retry is an attempt too."""

    def try_take(self) -> bool:
        """Takes a retry if the balance has one; returns whether it did."""
        self._balance = min(_LARGEST_BALANCE, self._balance + self.attempts * self._share)
        self.attempts = 0
        if self._balance < 1:
            return False
        self._balance -= 1
        return True
