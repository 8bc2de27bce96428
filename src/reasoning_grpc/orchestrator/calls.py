"""`OrchestrationCalls`: builds the model calls of a run: for a plan, for the tasks, and for the answer."""

from collections.abc import Sequence
from typing import Final

from msgspec.structs import replace

from reasoning_grpc.domain import CompletionRequest, ContextPolicy, PlannedTask, Task
from reasoning_grpc.llm import ModelCall
from reasoning_grpc.orchestrator.parts import Parts, TaskModel
from reasoning_grpc.orchestrator.planner import build_plan_call
from reasoning_grpc.orchestrator.results import append_to_question, write_results

_RESERVE_TOKENS: Final = 1024
"""Tokens kept free in the planner's prompt for the schema of the plan, and for a rejected plan."""
_PART_OF_WINDOW: Final = 8
"""In a small window these are at most one part in this many of it."""
Ended = Sequence[tuple[PlannedTask, Task]]


class OrchestrationCalls:
    """Builds the model calls of one run from the direct call."""

    def __init__(
        self, parts: Parts, request: CompletionRequest, direct: ModelCall, models: Sequence[TaskModel]
    ) -> None:
        """`direct` is the call that would answer without tasks."""
        self._parts = parts
        self._request = request
        self.direct: Final = direct
        self._fallbacks = {each.name: each.fallback_models for each in models} | {direct.model: direct.fallback_models}
        self._info = parts.model.describe(direct.model)
        self.is_parallel: Final = request.parallel_tool_calls is not False
        """Whether the caller takes calls of several tasks at once."""

    def find_models(self, planned: PlannedTask) -> tuple[str, ...] | None:
        """Returns the models that may work on a task; None when the server no longer has its model for tasks."""
        fallbacks = self._fallbacks.get(planned.model)
        return None if fallbacks is None else (planned.model, *fallbacks)

    def list_direct_models(self) -> tuple[str, ...]:
        """Returns the models that may answer the request itself."""
        return (self.direct.model, *self.direct.fallback_models)

    async def build_plan_call(self, instructions: str, results: str, *, has_tools: bool) -> ModelCall:
        """Builds the call that asks for a plan, whose tasks may have tools or not.

        `results` are those of an earlier plan, and what to do about them.
        """
        examples = self._parts.prompts.select_examples(self._info, has_tools=has_tools)
        call, head = build_plan_call(self.direct, self._info, instructions, results, examples)
        window = self._info.context_window_tokens
        reserve = _RESERVE_TOKENS if window is None else min(_RESERVE_TOKENS, window // _PART_OF_WINDOW)
        return await self._fit(call, reserve, head)

    def build_task_call(self, planned: PlannedTask, needed: Ended) -> ModelCall:
        """Builds the call that would answer a task without an agent, from the results that it needs.

        The format and the length of the answer are not those of a task's result.
        """
        texts = [self._parts.prompts.write_task(planned.goal)]
        if needed:
            texts.append(write_results(needed, self._parts.model.describe(planned.model)))
        call, _ = append_to_question(self.direct, "\n\n".join(texts))
        sampling = replace(call.sampling, max_output_tokens=None, stop_sequences=(), logprobs=None, top_logprobs=None)
        return replace(
            call,
            model=planned.model,
            fallback_models=self._fallbacks[planned.model],
            sampling=sampling,
            response_format=None,
        )

    def build_task_request(self, planned: PlannedTask, call: ModelCall) -> CompletionRequest:
        """Builds the request that asks an agent for the result of a task, with the task's tools of the caller's own."""
        options = replace(self._request.agent, allowed_tools=frozenset(planned.tools))
        own_tools = tuple(tool for tool in self._request.tools if tool.name in planned.tools)
        return replace(self._request, agent=options, sampling=call.sampling, tools=own_tools)

    async def build_answer_call(self, ended: Ended) -> ModelCall:
        """Builds the call that writes the answer from the results of all tasks."""
        call, _ = append_to_question(self.direct, f"{write_results(ended, self._info)}\n\n{self._parts.prompts.answer}")
        return await self._fit(call)

    async def _fit(self, call: ModelCall, reserve_tokens: int = 0, head: int = 0) -> ModelCall:
        """Leaves out of the call the oldest messages that do not fit, where the window is known or a policy is set."""
        if self._request.context_policy is None and self._info.context_window_tokens is None:
            return call
        return await self._parts.windows.fit(
            call, ContextPolicy.TRUNCATE_OLDEST, reserve_tokens=reserve_tokens, head=head, question=call.messages[-1]
        )
