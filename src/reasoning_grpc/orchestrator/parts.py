"""The objects that every run of orchestration uses, and what it needs of a request's ledger."""

from dataclasses import dataclass
from typing import Protocol

from reasoning_grpc.agent import Account, Agent, AgentSpans
from reasoning_grpc.domain import RoutingPreference
from reasoning_grpc.llm import ContextWindows, ResilientModel
from reasoning_grpc.orchestrator.prompts import OrchestrationPrompts
from reasoning_grpc.orchestrator.task_run import TaskLedger


@dataclass(frozen=True, slots=True)
class TaskModel:
    """A model that tasks may have."""

    tier: RoutingPreference
    """By this name the planner chooses it."""
    name: str
    fallback_models: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The objects that every run uses."""

    agent: Agent
    model: ResilientModel
    windows: ContextWindows
    prompts: OrchestrationPrompts
    spans: AgentSpans


class Ledger(Protocol):
    """The ledger of one request, which opens one for each attempt at a task."""

    @property
    def account(self) -> Account:
        """The tokens and the cost of the whole request."""
        ...

    def open_task(self, number: int) -> TaskLedger:
        """Opens the ledger of an attempt at a task, by its number in the whole answer."""
        ...
