"""A caller may be known by its client certificate instead of a token."""

from typing import Final

import grpc
import pytest

from reasoning_grpc.client import CallFailed, ReasoningClient
from reasoning_grpc.config import CallerEntry, hash_token
from tests.support.client_certificates import CertificateAuthority, create_certificate_authority
from tests.support.serving import config_for, model_entry, serving
from tests.support.upstream import FakeUpstream

SPIFFE: Final = "spiffe://example.com/billing"
CALLERS: Final = {
    "billing": CallerEntry(name="billing", certificate_names=("billing.example.com", SPIFFE)),
    "search": CallerEntry(name="search", token_hash=hash_token("search-token"), certificate_names=("search",)),
    "tokens": CallerEntry(name="tokens", token_hash=hash_token("tokens-token")),
}
"""The callers of the server; each may use only the model of its own name."""


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> CertificateAuthority:
    """The authority that signed every certificate."""
    return create_certificate_authority(tmp_path_factory.mktemp("tls"))


async def find_caller(address: str, credentials: grpc.ChannelCredentials, token: str) -> str:
    """Returns the name of the caller that a client is, or the reason why it is none."""
    async with ReasoningClient(address, credentials=credentials, token=token) as client:
        try:
            (model,) = await client.list_models()
        except CallFailed as failed:
            return failed.reason
    return model.name


@pytest.mark.parametrize(
    ("names", "common_name", "token", "expected"),
    [
        pytest.param(("billing.example.com",), "", "", "billing", id="a DNS name"),
        pytest.param(("other.example.com", SPIFFE), "", "", "billing", id="a URI among others"),
        pytest.param((), "search", "", "search", id="a common name"),
        pytest.param(("other.example.com",), "search", "", "CREDENTIALS_MISSING", id="a common name beside others"),
        pytest.param(("sub.billing.example.com",), "", "", "CREDENTIALS_MISSING", id="a longer name"),
        pytest.param((), "stranger", "", "CREDENTIALS_MISSING", id="a stranger"),
        pytest.param(("billing.example.com",), "", "tokens-token", "tokens", id="a token of another caller"),
        pytest.param(("billing.example.com",), "", "wrong", "CREDENTIALS_INVALID", id="a wrong token"),
        pytest.param((), "stranger", "search-token", "search", id="a token alone"),
    ],
)
async def test_a_caller_is_known_by_its_certificate(
    upstream: FakeUpstream,
    authority: CertificateAuthority,
    names: tuple[str, ...],
    common_name: str,
    token: str,
    expected: str,
) -> None:
    """A name in the certificate is the caller's; a token that is sent counts instead, and must be valid."""
    callers = {
        name: CallerEntry(
            name=name,
            token_hash=entry.token_hash,
            certificate_names=entry.certificate_names,
            allowed_models=frozenset({name}),
        )
        for name, entry in CALLERS.items()
    }
    models = [model_entry(upstream.api_base, name) for name in callers]
    config = config_for(*models, callers=callers, **authority.settings())
    credentials = authority.credentials(*names, common_name=common_name)

    async with serving(config) as running:
        address = f"localhost:{running.address.rpartition(':')[2]}"
        assert await find_caller(address, credentials, token) == expected
