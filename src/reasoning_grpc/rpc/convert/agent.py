"""Converts the work of the agent: steps, tool executions and the end of its reasoning."""

from typing import Any

from reasoning_grpc.domain import Step, ToolExecution
from reasoning_grpc.domain.events import ReasoningFinished
from reasoning_grpc.rpc.convert import enums
from reasoning_grpc.rpc.convert.scalars import duration
from reasoning_grpc.rpc.convert.usage import optional_cost, optional_usage
from reasoning_grpc.v1 import agent_pb2


def step_proto(step: Step) -> agent_pb2.Step:
    """Returns one step of the agent."""
    action: Any = 0 if step.next_action is None else enums.NEXT_ACTION.to_proto[step.next_action]
    return agent_pb2.Step(
        number=step.number,
        thought=step.thought,
        next_action=action,
        tool_executions=[tool_execution(execution) for execution in step.tool_executions],
        outcome=enums.STEP_OUTCOME.to_proto[step.outcome],
        usage=optional_usage(step.usage),
    )


def tool_execution(execution: ToolExecution) -> agent_pb2.ToolExecution:
    """Returns one call of one of the server's tools."""
    return agent_pb2.ToolExecution(
        call_id=execution.call_id,
        name=execution.name,
        arguments=execution.arguments,
        status=enums.TOOL_STATUS.to_proto[execution.status],
        result=execution.result,
        result_truncated=execution.result_truncated,
        error=execution.error,
        duration=duration(execution.duration_seconds),
    )


def reasoning_finished(event: ReasoningFinished) -> agent_pb2.ReasoningFinished:
    """Returns why the agent stopped thinking."""
    return agent_pb2.ReasoningFinished(
        reason=enums.REASONING_END.to_proto[event.reason],
        step_count=event.step_count,
        tool_call_count=event.tool_call_count,
        usage=optional_usage(event.usage),
        cost=optional_cost(event.cost),
        duration=duration(event.duration_seconds),
    )
