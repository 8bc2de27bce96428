"""Writes the work of the agent into messages: steps, tool executions and the end of its reasoning."""

from reasoning_grpc.domain import Step, ToolExecution
from reasoning_grpc.domain.events import ReasoningFinished
from reasoning_grpc.rpc.convert import enums
from reasoning_grpc.rpc.convert.scalars import write_duration
from reasoning_grpc.rpc.convert.usage import write_cost, write_usage
from reasoning_grpc.v1 import agent_pb2


def write_step(message: agent_pb2.Step, step: Step) -> None:
    """Writes one step of the agent."""
    message.number = step.number
    message.thought = step.thought
    if step.next_action is not None:
        message.next_action = enums.NEXT_ACTION.to_proto[step.next_action]
    for execution in step.tool_executions:
        write_tool_execution(message.tool_executions.add(), execution)
    message.outcome = enums.STEP_OUTCOME.to_proto[step.outcome]
    if step.usage is not None:
        write_usage(message.usage, step.usage)


def write_tool_execution(message: agent_pb2.ToolExecution, execution: ToolExecution) -> None:
    """Writes one call of one of the server's tools."""
    message.call_id = execution.call_id
    message.name = execution.name
    message.arguments = execution.arguments
    message.status = enums.TOOL_STATUS.to_proto[execution.status]
    message.result = execution.result
    message.result_truncated = execution.result_truncated
    message.error = execution.error
    write_duration(message.duration, execution.duration_seconds)


def write_reasoning_finished(message: agent_pb2.ReasoningFinished, event: ReasoningFinished) -> None:
    """Writes why the agent stopped thinking."""
    message.reason = enums.REASONING_END.to_proto[event.reason]
    message.step_count = event.step_count
    message.tool_call_count = event.tool_call_count
    if event.usage is not None:
        write_usage(message.usage, event.usage)
    if event.cost is not None:
        write_cost(message.cost, event.cost)
    write_duration(message.duration, event.duration_seconds)
