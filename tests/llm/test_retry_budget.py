"""The budget of retries of an upstream."""

from reasoning_grpc.llm.retry_budget import RetryBudget


def count_retries(budget: RetryBudget, calls: int) -> int:
    """Returns how many retries calls get that all fail, three of them each at most."""
    retries = 0
    for _ in range(calls):
        budget.attempts += 1
        for _ in range(3):
            if budget.try_take():
                budget.attempts += 1
                retries += 1
    return retries


def test_a_few_failures_are_retried_in_full() -> None:
    """Three calls that fail get nine retries."""
    assert count_retries(RetryBudget(0.1), 3) == 9


def test_when_everything_fails_a_call_costs_little_more_than_one_request() -> None:
    """A thousand calls that fail get a ninth of them as retries, and those of the balance at the start."""
    assert count_retries(RetryBudget(0.1), 1000) <= 122


def test_calls_that_succeed_fill_the_balance_again() -> None:
    """After a failure that used up the balance, a hundred calls without failure fill it."""
    budget = RetryBudget(0.1)
    count_retries(budget, 100)
    assert not budget.try_take()

    budget.attempts += 1000

    assert count_retries(budget, 3) == 9
