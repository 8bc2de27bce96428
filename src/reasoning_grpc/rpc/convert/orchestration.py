"""Writes plans and tasks into messages."""

from reasoning_grpc.domain import Task
from reasoning_grpc.domain.events import PlanCreated, RouteChanged, TaskFinished, TaskStarted
from reasoning_grpc.rpc.convert import enums
from reasoning_grpc.rpc.convert.agent import write_reasoning_finished, write_step
from reasoning_grpc.rpc.convert.routing import write_route_decision
from reasoning_grpc.rpc.convert.scalars import write_duration
from reasoning_grpc.rpc.convert.usage import write_cost, write_usage
from reasoning_grpc.v1 import orchestration_pb2


def write_plan_created(message: orchestration_pb2.PlanCreated, event: PlanCreated) -> None:
    """Writes a plan."""
    message.revision = event.revision
    message.max_parallel_tasks = event.max_parallel_tasks
    for task in event.tasks:
        message.tasks.add(id=task.id, goal=task.goal, depends_on=task.depends_on, tools=task.tools, model=task.model)


def write_task_started(message: orchestration_pb2.TaskStarted, event: TaskStarted) -> None:
    """Writes which task begins."""
    message.id = event.id
    message.attempt = event.attempt
    message.model = event.model


def write_task_finished(message: orchestration_pb2.TaskFinished, event: TaskFinished) -> None:
    """Writes how a task ended."""
    write_task(message.task, event.task)


def write_route_changed(message: orchestration_pb2.RouteChanged, event: RouteChanged) -> None:
    """Writes the decision that holds from now on."""
    write_route_decision(message.route_decision, event.route_decision)
    message.cause = enums.ROUTE_CHANGE_CAUSE.to_proto[event.cause]


def write_task(message: orchestration_pb2.Task, task: Task) -> None:
    """Writes one attempt at a task."""
    message.number = task.number
    message.id = task.id
    message.attempt = task.attempt
    message.model = task.model
    message.outcome = enums.TASK_OUTCOME.to_proto[task.outcome]
    message.result = task.result
    message.result_truncated = task.result_truncated
    if task.failure:
        message.failure = enums.error_reason(task.failure)
    if task.stop_reason is not None:
        message.stop_reason = enums.REASONING_END.to_proto[task.stop_reason]
    if task.usage is not None:
        write_usage(message.usage, task.usage)
    if task.cost is not None:
        write_cost(message.cost, task.cost)
    write_duration(message.duration, task.duration_seconds)
    for step in task.steps:
        write_step(message.steps.add(), step)
    if task.reasoning_finished is not None:
        write_reasoning_finished(message.reasoning_finished, task.reasoning_finished)
