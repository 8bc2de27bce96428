"""Calls of a language model: the port, its wrappers, and what is built on a single call.

port.py             LanguageModel and ModelCall: how the rest of the code calls models
stack.py            puts the wrappers together, in their order
timeouts.py         limits the time of an attempt
wait_timer.py       limits each of many waits with one timer
think_tags.py       converts what a model writes between think tags to reasoning
traced.py, genai.py a span of each attempt, in OpenTelemetry's conventions
retries.py          retries and fallback models
call_events.py      one model call as events of a request
context_window.py   keeps a call within the context windows of its models
omission.py         leaves out the oldest messages of a call
token_estimates.py  estimates the tokens of a prompt
prompt_size.py      counts a prompt that grows
structured/         answers that follow a JSON schema
"""

from reasoning_grpc.llm.call_events import CallInProgress, stream_call
from reasoning_grpc.llm.context_window import ContextWindows
from reasoning_grpc.llm.genai import build_address_attributes
from reasoning_grpc.llm.port import LanguageModel, ModelCall, estimate_prompt_tokens
from reasoning_grpc.llm.prompt_size import PromptSize
from reasoning_grpc.llm.retries import RetryPolicy
from reasoning_grpc.llm.stack import wrap_model
from reasoning_grpc.llm.timeouts import ModelTimeouts
from reasoning_grpc.llm.token_estimates import estimate_text_tokens_cautiously, sum_prompt_tokens
from reasoning_grpc.llm.wait_timer import WaitTimer

__all__ = [
    "CallInProgress",
    "ContextWindows",
    "LanguageModel",
    "ModelCall",
    "ModelTimeouts",
    "PromptSize",
    "RetryPolicy",
    "WaitTimer",
    "build_address_attributes",
    "estimate_prompt_tokens",
    "estimate_text_tokens_cautiously",
    "stream_call",
    "sum_prompt_tokens",
    "wrap_model",
]
