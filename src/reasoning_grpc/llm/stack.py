"""`wrap_model`: puts the wrappers of a model call together, in the one order in which they work."""

from collections.abc import Callable

from opentelemetry.trace import Tracer

from reasoning_grpc.domain import Caller, Deployment
from reasoning_grpc.llm.port import LanguageModel
from reasoning_grpc.llm.retries import ResilientModel, RetryPolicy
from reasoning_grpc.llm.think_tags import UntaggedModel
from reasoning_grpc.llm.timeouts import ModelTimeouts, TimedModel
from reasoning_grpc.llm.traced import TracedModel


def wrap_model(
    adapter: LanguageModel,
    *,
    timeouts: ModelTimeouts,
    retries: RetryPolicy,
    find_deployment: Callable[[str, Caller], Deployment],
    tracer: Tracer | None = None,
    captures_content: bool = False,
) -> LanguageModel:
    """Returns the model that the engine calls; closing it closes the adapter.

    The wrappers stand in this order, from the upstream outwards:

    - Timeouts stand next to the adapter, because they limit how long the upstream itself is silent. Text that the
      think tags hold back has arrived all the same.
    - Think tags come before the spans, so that a span that captures content shows reasoning as reasoning.
    - Spans come before the retries, so that each attempt has a span of its own. They are left out without a tracer.
      `find_deployment` names the upstream on them, and `captures_content` puts the text of messages on them.
    - Retries stand outside all others. They call again what failed, or a fallback model, and each attempt has the full
      timeouts.
    """
    model: LanguageModel = TimedModel(adapter, timeouts)
    model = UntaggedModel(model)
    if tracer is not None:
        model = TracedModel(model, tracer, find_deployment, captures_content=captures_content)
    return ResilientModel(model, retries)
