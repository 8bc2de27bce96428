"""Orchestration: splits a request into tasks, lets agents work on them at the same time, and writes the answer."""

from reasoning_grpc.orchestrator.orchestrator import Orchestrator
from reasoning_grpc.orchestrator.parts import TaskModel
from reasoning_grpc.orchestrator.prompts import (
    GOAL_PLACEHOLDER,
    MEMBERS_PLACEHOLDER,
    OrchestrationPrompts,
    load_orchestration_prompt,
    load_planner_examples,
)
from reasoning_grpc.orchestrator.share import OrchestrationLimits

__all__ = [
    "GOAL_PLACEHOLDER",
    "MEMBERS_PLACEHOLDER",
    "OrchestrationLimits",
    "OrchestrationPrompts",
    "Orchestrator",
    "TaskModel",
    "load_orchestration_prompt",
    "load_planner_examples",
]
