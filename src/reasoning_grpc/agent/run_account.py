"""`RunAccount`: the tokens and the cost of a run that several requests serve."""

from reasoning_grpc.agent.budget import Account
from reasoning_grpc.agent.run_state import Spent
from reasoning_grpc.domain import Cost, Usage


class RunAccount:
    """Adds what earlier requests spent to the account of the request in progress."""

    def __init__(self, account: Account, before: Spent) -> None:
        """`before` is what the run had spent when it paused last."""
        self._account = account
        self._before = before

    def usage(self) -> Usage | None:
        """Returns the tokens of all model calls of the run; None when none was counted."""
        now, before = self._account.usage(), self._before.usage
        return now if before is None else before if now is None else before + now

    def step_usage(self) -> Usage | None:
        """Returns the tokens of the step in progress, or else of the last step, in this request."""
        return self._account.step_usage()

    def cost(self) -> Cost | None:
        """Returns the cost of all model calls of the run; None when a price is not known."""
        now, before = self._account.cost(), self._before.cost
        if self._before.usage is None:
            return now
        if self._account.usage() is None:
            return before
        return None if now is None or before is None else before + now
