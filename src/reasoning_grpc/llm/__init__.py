"""Calls of a language model: the port, the model calls of requests, and what is built on a single call.

port.py             LanguageModel, which makes a single attempt, ModelCall and ServedModel
resilient_model.py  makes model calls, in one or several attempts, as events of a request
attempt.py          one attempt, with its timeouts, think tags and span
retries.py          chooses the next attempt: a retry, or a fallback model
upstream_guard.py   what all calls to an upstream share, made of the four modules below
breaker.py          stops calling an upstream that fails, and finds out when it answers again
gradient_limit.py   finds out how many calls an upstream answers in time
cooldowns.py        keeps calls away from an upstream that limits their rate
retry_budget.py     bounds the retries by the attempts
timeouts.py         the limits on the time of an attempt
time_limit.py       ends a source of events at a time
wait_timer.py       limits each of many waits with one timer
think_tags.py       converts what a model writes between think tags to reasoning
attempt_spans.py    a span of each attempt, in the conventions of OpenTelemetry that genai.py has
billed_usage.py     what a model call is billed for, however it ends
answer_sizes.py     learns how long the answers of each model are
model_call_quotas.py reserves the tokens and the cost of a call that a caller's limits bound
call_in_progress.py the attempt in progress, for code that continues after a failure
context_window.py   keeps a call within the context windows of its models
omission.py         leaves out the oldest messages of a call
token_estimates.py  estimates the tokens of a prompt
prompt_size.py      counts a prompt that grows
structured/         answers that follow a JSON schema
"""

from reasoning_grpc.llm.attempt_spans import AttemptSpans
from reasoning_grpc.llm.billed_usage import find_failed_usage, find_interrupted_usage
from reasoning_grpc.llm.breaker import BreakerPolicy, BreakerState
from reasoning_grpc.llm.call_in_progress import CallInProgress
from reasoning_grpc.llm.context_window import ContextWindows
from reasoning_grpc.llm.genai import PROVIDERS, build_address_attributes
from reasoning_grpc.llm.model_call_quotas import ModelCallQuotas
from reasoning_grpc.llm.port import LanguageModel, ModelCall, ServedModel, estimate_prompt_tokens
from reasoning_grpc.llm.prompt_size import PromptSize
from reasoning_grpc.llm.resilient_model import ResilientModel
from reasoning_grpc.llm.retries import RetryPolicy
from reasoning_grpc.llm.time_limit import TimeIsUp, limit_time
from reasoning_grpc.llm.timeouts import ModelTimeouts
from reasoning_grpc.llm.token_estimates import estimate_text_tokens_cautiously, sum_prompt_tokens
from reasoning_grpc.llm.upstream_guard import GuardPolicy, UpstreamGuards
from reasoning_grpc.llm.wait_timer import WaitTimer, WaitTimers

__all__ = [
    "PROVIDERS",
    "AttemptSpans",
    "BreakerPolicy",
    "BreakerState",
    "CallInProgress",
    "ContextWindows",
    "GuardPolicy",
    "LanguageModel",
    "ModelCall",
    "ModelCallQuotas",
    "ModelTimeouts",
    "PromptSize",
    "ResilientModel",
    "RetryPolicy",
    "ServedModel",
    "TimeIsUp",
    "UpstreamGuards",
    "WaitTimer",
    "WaitTimers",
    "build_address_attributes",
    "estimate_prompt_tokens",
    "estimate_text_tokens_cautiously",
    "find_failed_usage",
    "find_interrupted_usage",
    "limit_time",
    "sum_prompt_tokens",
]
