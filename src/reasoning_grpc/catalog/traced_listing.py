"""`TracedListing`: wraps a `ModelListing` and makes a span of each reading."""

from collections.abc import Mapping
from typing import Final

from opentelemetry.context import Context
from opentelemetry.trace import SpanKind, Tracer

from reasoning_grpc.catalog.proxy import ModelListing
from reasoning_grpc.llm import ServedModel, build_address_attributes
from reasoning_grpc.telemetry import PREFIX, OpenInference, ViewerKind, mark_error

SPAN_NAME: Final = "discover models"


class TracedListing:
    """Reads the inner listing within a span, which begins a new trace and is the parent of the proxy's spans."""

    def __init__(self, inner: ModelListing, tracer: Tracer, api_base: str) -> None:
        """`api_base` is the address from which the inner listing reads."""
        self._inner = inner
        self._tracer = tracer
        self._attributes = {OpenInference.SPAN_KIND: ViewerKind.CHAIN, **build_address_attributes(api_base)}

    async def read(self) -> Mapping[str, ServedModel]:
        """See `ModelListing.read`."""
        with self._tracer.start_as_current_span(
            SPAN_NAME,
            Context(),
            kind=SpanKind.CLIENT,
            attributes=self._attributes,
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            try:
                models = await self._inner.read()
            except BaseException as error:
                mark_error(span, error)
                raise
            span.set_attribute(PREFIX + "models", len(models))
            return models

    async def aclose(self) -> None:
        """See `ModelListing.aclose`."""
        await self._inner.aclose()
