"""`Callers`: authenticates callers by the bearer token in the metadata, or by the client's certificate."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from reasoning_grpc.config import CallerEntry, hash_token
from reasoning_grpc.domain import ANONYMOUS, Caller
from reasoning_grpc.domain.errors import CredentialsInvalid, CredentialsMissing

AUTHORIZATION = "authorization"
_SCHEME = "bearer "
_CERTIFICATE_NAMES = ("x509_subject_alternative_name", "x509_common_name")
"""Where gRPC has the names in a certificate that its TLS layer has verified; the common name counts only alone."""

AuthContext = Mapping[str, Iterable[bytes]]
"""What gRPC knows of the other end of a connection."""


class Connection(Protocol):
    """The connection of a call: the context that gRPC gives to a handler."""

    def auth_context(self) -> AuthContext:
        """Returns what gRPC knows of the other end."""
        ...


class Callers:
    """The callers of the configuration. When it has none, every caller is the anonymous one."""

    def __init__(self, entries: Iterable[CallerEntry]) -> None:
        self._by_token: dict[str, Caller] = {}
        """The callers by the hashes of their tokens."""
        self._by_certificate: dict[str, Caller] = {}
        """The callers by the names in their certificates."""
        for entry in entries:
            caller = _build_caller(entry)
            self._by_token.update(dict.fromkeys(entry.list_token_hashes(), caller))
            self._by_certificate.update(dict.fromkeys(entry.certificate_names, caller))

    def authenticate(self, metadata: Sequence[tuple[str, str | bytes]], connection: Connection | None = None) -> Caller:
        """Returns the caller whose token the metadata holds, or else the one whose certificate the client has.

        Raises CredentialsMissing and CredentialsInvalid: a token that is sent must be valid, whatever the certificate
        is. The time it takes depends neither on which caller matches nor on how much of a wrong token is right: tokens
        are looked up by their SHA-256, in a table that Python orders by a secret of the process.
        """
        if not self._by_token and not self._by_certificate:
            return ANONYMOUS
        values = [value for key, value in metadata if key == AUTHORIZATION]
        if not values:
            found = self._find_by_certificate(connection) if self._by_certificate and connection is not None else None
            if found is None:
                raise CredentialsMissing
            return found
        value = values[0]
        if len(values) > 1 or not isinstance(value, str) or value[: len(_SCHEME)].lower() != _SCHEME:
            raise CredentialsInvalid
        caller = self._by_token.get(hash_token(value[len(_SCHEME) :].strip()))
        if caller is None:
            raise CredentialsInvalid
        return caller

    def _find_by_certificate(self, connection: Connection) -> Caller | None:
        """Returns the caller that one of the certificate's names is. A name of two callers' is refused at start."""
        auth_context = connection.auth_context()
        for kind in _CERTIFICATE_NAMES:
            if names := auth_context.get(kind):
                found = [self._by_certificate.get(name.decode(errors="replace")) for name in names]
                return next((caller for caller in found if caller is not None), None)
        return None


def _build_caller(entry: CallerEntry) -> Caller:
    return Caller(
        name=entry.name,
        allowed_models=entry.allowed_models,
        allowed_routes=entry.allowed_routes,
        allowed_tools=entry.allowed_tools,
        upstream_keys=entry.upstream_keys,
        limits=entry.limits,
        priority=entry.priority,
    )
