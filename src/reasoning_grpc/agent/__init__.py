"""The reasoning agent: it thinks in steps with tools, then writes the answer."""

from reasoning_grpc.agent.agent import Agent
from reasoning_grpc.agent.budget import Account
from reasoning_grpc.agent.calls import estimate_reasoning_tokens
from reasoning_grpc.agent.limits import AgentLimits, list_unused_options
from reasoning_grpc.agent.prompts import TOOLS_PLACEHOLDER, AgentPrompts, load_agent_examples, load_agent_prompt
from reasoning_grpc.agent.result_lines import enclose_data
from reasoning_grpc.agent.run import AgentRun
from reasoning_grpc.agent.run_account import RunAccount
from reasoning_grpc.agent.run_parts import Resumption, TaskShare
from reasoning_grpc.agent.run_state import Spent, refuse_state
from reasoning_grpc.agent.spans import AgentSpans
from reasoning_grpc.agent.thinking_time import Speeds, ThinkingTime, reserve_answer_seconds
from reasoning_grpc.agent.transcript import Transcript

__all__ = [
    "TOOLS_PLACEHOLDER",
    "Account",
    "Agent",
    "AgentLimits",
    "AgentPrompts",
    "AgentRun",
    "AgentSpans",
    "Resumption",
    "RunAccount",
    "Speeds",
    "Spent",
    "TaskShare",
    "ThinkingTime",
    "Transcript",
    "enclose_data",
    "estimate_reasoning_tokens",
    "list_unused_options",
    "load_agent_examples",
    "load_agent_prompt",
    "refuse_state",
    "reserve_answer_seconds",
]
