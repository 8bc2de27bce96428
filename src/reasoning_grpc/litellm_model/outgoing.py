"""`OutgoingRequest`: what we do to a request after litellm has built it, before our connection sends it."""

from collections.abc import Callable, Mapping
from typing import Any

from reasoning_grpc.domain import Deployment
from reasoning_grpc.litellm_model.request import join_members, restore_address, restore_model
from reasoning_grpc.litellm_model.transport.amazon_signature import sign_again


class OutgoingRequest:
    """The last changes of one request."""

    def __init__(
        self,
        deployment: Deployment,
        members: Mapping[str, Any],
        correct: Callable[[dict[str, Any]], dict[str, Any]] | None = None,
    ) -> None:
        """`members` are merged into the body, and into members of it that are objects.

        `correct` is None where litellm writes the body rightly.
        """
        self._deployment = deployment
        self._members = members
        self._correct = correct

    def restore_address(self, url: str) -> str:
        """Returns the URL that litellm has built, with the provider's own name of the model."""
        return restore_address(url, self._deployment)

    @property
    def changes_body(self) -> bool:
        """Whether `finish_body` must see the body."""
        is_renamed = self._deployment.litellm_model != self._deployment.deciding_model
        return is_renamed or bool(self._members) or self._correct is not None

    def finish_body(self, body: dict[str, Any]) -> dict[str, Any]:
        """Returns the body to send."""
        body = join_members(body, self._members)
        restore_model(body, self._deployment)
        return body if self._correct is None else self._correct(body)

    async def sign_again(self, url: str, headers: Mapping[str, str], body: bytes) -> Mapping[str, str]:
        """Returns the headers of a finished body, whose signature, if it had one, was that of litellm's body."""
        return await sign_again(url, headers, body, self._deployment.litellm_params)
