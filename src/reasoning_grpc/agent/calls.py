"""`AgentCalls`: builds the model calls of a run: for a step, for a repair, and for the answer."""

from typing import Final

from msgspec.structs import replace

from reasoning_grpc.agent.native_tools import prepare_native_tools
from reasoning_grpc.agent.transcript import Transcript
from reasoning_grpc.domain import (
    TOKENS_OF_EFFORT,
    Capability,
    ContextPolicy,
    Message,
    ModelInfo,
    ModelSourceKind,
    ReasoningEffort,
    ReasoningOptions,
    Sampling,
    Tool,
    ToolChoice,
    ToolChoiceMode,
    ToolInfo,
)
from reasoning_grpc.llm import ContextWindows, ModelCall, PromptSize, estimate_prompt_tokens
from reasoning_grpc.llm.structured import AnswerRequest

_STEP_TOKENS: Final = 1024
"""The most tokens of one plan. The model's own reasoning is added to them."""
_REASONING_TOKENS: Final = 4096
"""The fewest reasoning tokens of a plan where the request gives no number; a greater effort may stand for more."""
_PART_OF_WINDOW: Final = 16
"""A plan may fill one part in this many of the model's context window."""
_FENCE_TOKENS: Final = 20
"""Tokens for the code fence that the embedded model may write around a plan: llama.cpp counts them, and strips it."""
_REPAIR_TOKENS: Final = 256
"""Tokens kept free for what a fitted call gets later: a rejected plan, and its problem."""
_LARGE: Final = 1_000_000


class AgentCalls:
    """Builds the model calls of one run from the direct call and the transcript."""

    def __init__(
        self,
        direct: ModelCall,
        info: ModelInfo,
        transcript: Transcript,
        windows: ContextWindows,
        *,
        tools: tuple[ToolInfo, ...],
        own_tools: tuple[Tool, ...] = (),
        plan_request: AnswerRequest | None,
        fits: bool,
    ) -> None:
        """`direct` is the call that would answer without the agent.

        `tools` and the caller's `own_tools` are sent as tools of the calls; both are empty where the prompt lists them
        instead. There `plan_request` requests a plan in JSON. With `fits`, calls are cut to the models' context
        windows; without it they are sent whole.
        """
        self._direct = direct
        self._tools = (*prepare_native_tools(tools), *own_tools)
        self._transcript = transcript
        self._windows = windows
        self._fits = fits
        fence_tokens = _FENCE_TOKENS if info.source is ModelSourceKind.EMBEDDED else 0
        self._step_tokens = min(_STEP_TOKENS, (info.context_window_tokens or _LARGE) // _PART_OF_WINDOW) + fence_tokens
        self._reasoning_tokens = estimate_reasoning_tokens(direct.reasoning, info)
        self._model_output_tokens = info.max_output_tokens or _LARGE
        self._max_prompt_tokens = (info.context_window_tokens if fits else None) or _LARGE
        self._plan_request = plan_request
        self._step_call = self._build_call_without_messages()
        self._step_size = PromptSize(self._step_call)

    def _build_call_without_messages(self) -> ModelCall:
        """Builds what the calls of all steps have in common."""
        call = replace(
            self._direct,
            messages=(),
            sampling=Sampling(max_output_tokens=self._max_output_tokens(None), seed=self._direct.sampling.seed),
            response_format=None,
            tools=self._tools,
            tool_choice=None,
            parallel_tool_calls=None,
        )
        return call if self._plan_request is None else self._plan_request.add_parameters(call)

    def estimate_step_tokens(self) -> int:
        """Estimates the tokens of the next step's call, its reasoning included and its plan not."""
        self._step_size.count(self._transcript.messages())
        return self._limit_to_window(self._step_size.estimate_tokens())

    def estimate_tokens(self, call: ModelCall) -> int:
        """Estimates the tokens of a call for a plan, its reasoning included and the plan not."""
        return self._limit_to_window(estimate_prompt_tokens(call))

    def _limit_to_window(self, prompt_tokens: int) -> int:
        """Adds the reasoning to the tokens of a prompt; what exceeds the context window is not sent, nor counted."""
        return min(prompt_tokens, self._max_prompt_tokens) + self._reasoning_tokens

    async def build_step_call(self, max_tokens: int | None) -> ModelCall:
        """Builds the call for a plan of at most this many tokens; None means the usual limit of a plan."""
        messages = self._transcript.messages()
        self._step_size.count(messages)
        call = replace(self._step_call, messages=messages)
        if max_tokens is not None:
            call = self._limit_output(call, max_tokens)
        fitted = await self._fit(call, self._transcript.question, self._transcript.head, self._step_size)
        if fitted.messages is messages:
            fitted.derived.prompt_tokens = self._step_size.estimate_tokens()
        return fitted

    def build_repair_call(self, call: ModelCall, max_tokens: int | None) -> ModelCall:
        """Limits the call that asks for a repaired plan to this many tokens of plan."""
        return self._limit_output(call, max_tokens)

    async def build_answer_call(self, instruction: str) -> ModelCall:
        """Builds the call that writes the answer; `instruction` asks the model for it.

        The call lists the tools as well: providers require that where the messages contain calls of them as parts.
        """
        messages, question = self._transcript.build_answer_messages(instruction)
        call = replace(self._direct, messages=messages)
        if not self._tools:
            return await self._fit(call, question)
        no_more = ToolChoice(mode=ToolChoiceMode.NONE)
        call = replace(call, tools=self._tools, tool_choice=no_more, parallel_tool_calls=None)
        return await self._fit(call, question)

    def _limit_output(self, call: ModelCall, plan_tokens: int | None) -> ModelCall:
        return replace(call, sampling=replace(call.sampling, max_output_tokens=self._max_output_tokens(plan_tokens)))

    def _max_output_tokens(self, plan_tokens: int | None) -> int:
        """Returns the output limit for a plan of at most this many tokens together with the model's own reasoning."""
        tokens = self._step_tokens if plan_tokens is None else min(self._step_tokens, plan_tokens)
        return min(self._reasoning_tokens + tokens, self._model_output_tokens)

    async def _fit(
        self, call: ModelCall, question: Message | None, head: int = 0, size: PromptSize | None = None
    ) -> ModelCall:
        """Leaves out of the call what does not fit: messages of the conversation first, then steps."""
        if not self._fits:
            return call
        return await self._windows.fit(
            call,
            ContextPolicy.TRUNCATE_OLDEST,
            reserve_tokens=_REPAIR_TOKENS,
            head=head,
            question=question,
            size=size,
        )


def estimate_reasoning_tokens(options: ReasoningOptions, info: ModelInfo) -> int:
    """Returns the tokens of a plan's output that the model's own reasoning may take.

    Providers refuse an output limit that is smaller than the reasoning budget.
    """
    if options.budget_tokens is not None:
        return options.budget_tokens
    if options.effort is ReasoningEffort.NONE:
        return 0
    if options.effort is not None:
        return max(_REASONING_TOKENS, TOKENS_OF_EFFORT[options.effort])
    return _REASONING_TOKENS if Capability.REASONING in info.capabilities else 0
