"""The reasoning agent: steps with tools, then an answer."""

from reasoning_grpc.agent.agent import Agent
from reasoning_grpc.agent.limits import AgentLimits
from reasoning_grpc.agent.prompts import TOOLS_PLACE, AgentPrompts, packaged_examples, packaged_prompt
from reasoning_grpc.agent.spans import AgentSpans

__all__ = [
    "TOOLS_PLACE",
    "Agent",
    "AgentLimits",
    "AgentPrompts",
    "AgentSpans",
    "packaged_examples",
    "packaged_prompt",
]
