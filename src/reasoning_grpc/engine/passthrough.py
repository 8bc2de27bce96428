"""The passthrough path: one model call answers the request."""

from reasoning_grpc.domain import CompletionRequest
from reasoning_grpc.llm import ModelCall


def build_direct_call(request: CompletionRequest, model: str, fallback_models: tuple[str, ...]) -> ModelCall:
    """Builds the model call that answers a request directly."""
    return ModelCall(
        model=model,
        messages=request.messages,
        sampling=request.sampling,
        tools=request.tools,
        tool_choice=request.tool_choice,
        parallel_tool_calls=request.parallel_tool_calls,
        response_format=request.response_format,
        reasoning=request.reasoning,
        include_reasoning=request.include.reasoning,
        end_user=request.end_user,
        provider_options=dict(request.provider_options),
        fallback_models=fallback_models,
    )
