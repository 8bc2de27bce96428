"""`PausedOrchestration`: a run of orchestration that a request continues."""

from collections.abc import Mapping
from dataclasses import dataclass

from msgspec.structs import replace

from reasoning_grpc.agent import Agent, Resumption, refuse_state
from reasoning_grpc.orchestrator.calls import OrchestrationCalls
from reasoning_grpc.orchestrator.run_state import FallbackState, OrchestrationState, TasksState, decode_state
from reasoning_grpc.pauses import OpenedPause


@dataclass(frozen=True, slots=True)
class PausedOrchestration:
    """A run that waited for its caller, with the caller's answers."""

    opened: OpenedPause
    state: OrchestrationState

    def read_agents(self, agent: Agent, calls: OrchestrationCalls) -> Mapping[str, Resumption]:
        """Reads the states of the agents of tasks whose calls the caller has answered, by the ids of the tasks.

        Raises InvalidRequest when the server has changed so that the run cannot go on.
        """
        if isinstance(self.state, FallbackState):
            agent.read_resumption(self.select_agent(self.state.run), calls.list_direct_models())
            return {}
        resumptions: dict[str, Resumption] = {}
        for task in self.state.tasks:
            if task.ended is not None:
                continue
            models = calls.find_models(task.planned)
            if models is None:
                raise refuse_state(self.opened.path)
            if task.suspended is not None and all(each.call.id in self.opened.answers for each in task.suspended.calls):
                resumptions[task.planned.id] = agent.read_resumption(self.select_agent(task.suspended.run), models)
        return resumptions

    def select_agent(self, run: bytes) -> OpenedPause:
        """Returns the pause as one of the run's agents has it, whose state these bytes are."""
        return replace(self.opened, run=run)

    def select_tasks(self) -> TasksState | None:
        """Returns the state of the tasks; None when the reasoning agent works instead of them."""
        return self.state if isinstance(self.state, TasksState) else None


def read_paused(opened: OpenedPause) -> PausedOrchestration:
    """Reads the state of a paused run. Raises InvalidRequest for one that another version of the server wrote."""
    state = decode_state(opened.run)
    if state is None:
        raise refuse_state(opened.path)
    return PausedOrchestration(opened, state)
