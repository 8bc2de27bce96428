"""Reports how a request went to its call, whose log line and metrics show it."""

from reasoning_grpc.domain import CallContext
from reasoning_grpc.domain.errors import ReasoningError
from reasoning_grpc.domain.events import Completed
from reasoning_grpc.engine.ledger import Ledger


def report_failure(error: BaseException, ledger: Ledger, context: CallContext) -> None:
    """Closes the ledger of a request that failed, and reports what it used: to the log, and within a ReasoningError."""
    progress = ledger.close(error)
    if isinstance(error, ReasoningError):
        error.progress = progress
    if progress is not None:
        context.report.usage, context.report.cost = progress.usage, progress.cost


def report_events(ledger: Ledger, context: CallContext) -> None:
    """Reports what a ledger holds however its request ended."""
    context.report.events = ledger.events
    context.report.attempts = tuple(ledger.attempts)
    context.report.model_usages = ledger.account.attempts
    if ledger.agent is not None:
        context.report.agent = ledger.agent.report
    context.report.unpriced_model = ledger.account.unpriced_model()


def report_completed(completed: Completed, ledger: Ledger, context: CallContext) -> None:
    """Reports how a request completed."""
    report = context.report
    report.model, report.finish_reason = completed.model, completed.finish_reason
    report.usage, report.cost = completed.usage, completed.cost
    report.timings, report.pace = completed.timings, ledger.measure_pace()
