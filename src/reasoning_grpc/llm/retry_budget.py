"""`RetryBudget`: bounds the retries of an upstream by the calls that it gets, so that a failure is not multiplied."""

from typing import Final

_RETRIES_A_CALL: Final = 0.1
_LARGEST_BALANCE: Final = 10.0


class RetryBudget:
    """A balance of retries: each call adds a tenth of a retry, and each retry takes one.

    When everything fails, an upstream thus gets at most 1.1 requests for each call, and ten more. A few failures among
    many calls are retried as if there were no budget.
    """

    def __init__(self, *, retries_a_call: float = _RETRIES_A_CALL, largest_balance: float = _LARGEST_BALANCE) -> None:
        self._retries_a_call = retries_a_call
        self._largest_balance = largest_balance
        self._balance = largest_balance

    def record_call(self) -> None:
        """Records the first attempt at a call."""
        self._balance = min(self._largest_balance, self._balance + self._retries_a_call)

    def try_take(self) -> bool:
        """Takes a retry if the balance has one; returns whether it did."""
        if self._balance < 1:
            return False
        self._balance -= 1
        return True
