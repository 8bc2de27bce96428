"""`Callers`: authenticates callers by the bearer token in the metadata."""

from collections.abc import Iterable, Sequence

from reasoning_grpc.config import CallerEntry, hash_token
from reasoning_grpc.domain import ANONYMOUS, Caller
from reasoning_grpc.domain.errors import CredentialsInvalid, CredentialsMissing

AUTHORIZATION = "authorization"
_SCHEME = "bearer "


class Callers:
    """The callers of the configuration. When it has none, every caller is the anonymous one."""

    def __init__(self, entries: Iterable[CallerEntry]) -> None:
        self._callers = {
            entry.token_hash: Caller(
                name=entry.name,
                allowed_models=entry.allowed_models,
                allowed_routes=entry.allowed_routes,
                allowed_tools=entry.allowed_tools,
                upstream_keys=entry.upstream_keys,
            )
            for entry in entries
        }
        """The callers by the hashes of their tokens."""

    def authenticate(self, metadata: Sequence[tuple[str, str | bytes]]) -> Caller:
        """Returns the caller whose token the metadata holds.

        Raises CredentialsMissing and CredentialsInvalid. The time it takes depends neither on which caller matches nor
        on how much of a wrong token is right: tokens are looked up by their SHA-256, in a table that Python orders by a
        secret of the process.
        """
        if not self._callers:
            return ANONYMOUS
        values = [value for key, value in metadata if key == AUTHORIZATION]
        if not values:
            raise CredentialsMissing
        value = values[0]
        if len(values) > 1 or not isinstance(value, str) or value[: len(_SCHEME)].lower() != _SCHEME:
            raise CredentialsInvalid
        caller = self._callers.get(hash_token(value[len(_SCHEME) :].strip()))
        if caller is None:
            raise CredentialsInvalid
        return caller
