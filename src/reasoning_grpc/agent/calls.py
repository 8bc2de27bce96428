"""`AgentCalls`: the model calls of a run: for a step, and for the answer."""

from dataclasses import replace
from typing import Final

from reasoning_grpc.agent.transcript import Transcript
from reasoning_grpc.domain import (
    Capability,
    ContextPolicy,
    Message,
    ModelInfo,
    ReasoningEffort,
    ReasoningOptions,
    Sampling,
    Tool,
    ToolChoice,
    ToolChoiceMode,
    ToolInfo,
)
from reasoning_grpc.llm.context_window import ContextWindows
from reasoning_grpc.llm.port import ModelCall, estimated_prompt_tokens

_STEP_TOKENS: Final = 1024
"""Of one plan, at most; the model's own reasoning comes on top."""
_REASONING_TOKENS: Final = 4096
"""Of that, where nobody says how many: the most that an effort is made into for models that want a number."""
_STEPS_IN_WINDOW: Final = 16
"""A plan may take such a part of the model's context window."""
_FORM_TOKENS: Final = 256
"""What is added to a call that was made to fit: the form of a plan, and what is wrong with one."""
_LARGE: Final = 1_000_000


class AgentCalls:
    """Makes the model calls of one run, from what would answer directly and from what was said since."""

    def __init__(
        self,
        direct: ModelCall,
        info: ModelInfo,
        transcript: Transcript,
        windows: ContextWindows,
        *,
        tools: tuple[ToolInfo, ...],
        fits: bool,
    ) -> None:
        """`tools` are those that go with the calls; none where they are told in the prompt.

        `fits`: calls are kept within the models' context windows; else they are sent whole.
        """
        self._direct = direct
        self._tools = tuple(Tool(tool.name, tool.description, tool.parameters_schema) for tool in tools)
        self._transcript = transcript
        self._windows = windows
        self._fits = fits
        self._step_tokens = min(_STEP_TOKENS, (info.context_window_tokens or _LARGE) // _STEPS_IN_WINDOW)
        self._reasoning_tokens = _reasoning_tokens(direct.reasoning, info)
        self._most_output_tokens = info.max_output_tokens or _LARGE
        self._most_prompt_tokens = (info.context_window_tokens if fits else None) or _LARGE

    def step_tokens(self) -> int:
        """About so many tokens has the next step's call, but for its plan."""
        return self.tokens_of(replace(self._direct, messages=self._transcript.messages(), tools=self._tools))

    def tokens_of(self, call: ModelCall) -> int:
        """About so many tokens has the call of a plan, but for the plan; what is over the window is not sent."""
        return min(estimated_prompt_tokens(call), self._most_prompt_tokens) + self._reasoning_tokens

    async def for_step(self, most_tokens: int | None) -> ModelCall:
        """The call for a plan of so many tokens at most; None: of as many as a plan may have."""
        sampling = Sampling(max_output_tokens=self._output_tokens(most_tokens), seed=self._direct.sampling.seed)
        call = replace(
            self._direct,
            messages=self._transcript.messages(),
            sampling=sampling,
            response_format=None,
            tools=self._tools,
            tool_choice=None,
            parallel_tool_calls=None,
        )
        return await self._fitted(call, self._transcript.question, self._transcript.head)

    def for_repair(self, call: ModelCall, most_tokens: int | None) -> ModelCall:
        """The call for a mended plan, of so many tokens at most."""
        return replace(call, sampling=replace(call.sampling, max_output_tokens=self._output_tokens(most_tokens)))

    async def for_answer(self, request: str) -> ModelCall:
        """The call that writes the answer, which is asked for in these words.

        It has the tools too: where calls of them are among the messages as parts, providers want to know them.
        """
        messages, question = self._transcript.for_answer(request)
        call = replace(self._direct, messages=messages)
        if not self._tools:
            return await self._fitted(call, question)
        no_more = ToolChoice(mode=ToolChoiceMode.NONE)
        call = replace(call, tools=self._tools, tool_choice=no_more, parallel_tool_calls=None)
        return await self._fitted(call, question)

    def _output_tokens(self, most_tokens: int | None) -> int:
        """Of a plan that may have so many tokens at most, and of the model's own reasoning."""
        tokens = self._step_tokens if most_tokens is None else min(self._step_tokens, most_tokens)
        return min(self._reasoning_tokens + tokens, self._most_output_tokens)

    async def _fitted(self, call: ModelCall, question: Message | None, head: int = 0) -> ModelCall:
        """The call without what does not fit: of the conversation first, then of the steps."""
        if not self._fits:
            return call
        return await self._windows.fit(
            call, ContextPolicy.TRUNCATE_OLDEST, reserve_tokens=_FORM_TOKENS, head=head, question=question
        )


def _reasoning_tokens(asked: ReasoningOptions, info: ModelInfo) -> int:
    """How much of a plan's output may be the model's own reasoning; providers refuse what does not fit into it."""
    if asked.budget_tokens is not None:
        return asked.budget_tokens
    if asked.effort is ReasoningEffort.NONE:
        return 0
    return _REASONING_TOKENS if asked.effort or Capability.REASONING in info.capabilities else 0
