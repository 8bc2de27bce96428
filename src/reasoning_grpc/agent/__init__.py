"""The reasoning agent: it thinks in steps with tools, then writes the answer."""

from reasoning_grpc.agent.agent import Agent
from reasoning_grpc.agent.limits import AgentLimits, list_unused_options
from reasoning_grpc.agent.prompts import TOOLS_PLACEHOLDER, AgentPrompts, load_agent_examples, load_agent_prompt
from reasoning_grpc.agent.spans import AgentSpans

__all__ = [
    "TOOLS_PLACEHOLDER",
    "Agent",
    "AgentLimits",
    "AgentPrompts",
    "AgentSpans",
    "list_unused_options",
    "load_agent_examples",
    "load_agent_prompt",
]
