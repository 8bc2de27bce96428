"""Whether litellm takes our client for each provider in the shape that the tables say, tried on litellm itself."""

from collections.abc import Mapping
from contextlib import aclosing, suppress
from typing import Any, Final

import pytest
from yarl import URL

from reasoning_grpc.domain import Deployment
from reasoning_grpc.litellm_model import library, providers
from reasoning_grpc.litellm_model.calls import READERS
from reasoning_grpc.litellm_model.outgoing import OutgoingRequest
from reasoning_grpc.litellm_model.providers import Way, explain_way, takes_key
from reasoning_grpc.litellm_model.transport.client_shim import ExchangeClient
from reasoning_grpc.litellm_model.transport.connections import ConnectionPool
from reasoning_grpc.litellm_model.transport.exchange import Exchange, TransportLimits
from reasoning_grpc.litellm_model.transport.mapping_client import MappingClient

MODELS: Final = {"bedrock": "anthropic.claude-3-5-sonnet-20240620-v1:0"}
"""Models for the providers for which litellm requires a known name."""
_DEPLOYMENT: Final = Deployment(name="m", litellm_model="openai/some-model", api_base="http://127.0.0.1:9/v1")
# litellm's own code, and the packages behind it, cause deprecation warnings.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


class UnsentRequest(Exception):
    """The request was ready to be sent."""


class UnsentExchange(Exchange):
    """An exchange that raises `UnsentRequest` in place of sending."""

    sent: tuple[str, ...] = ()
    """The address and the values of the headers of the request."""

    async def send(self, url: str | URL, body: bytes, headers: Mapping[str, str]) -> None:
        """Raises in place of sending."""
        self.sent = (str(url), *headers.values())
        raise UnsentRequest(url, len(body), len(headers))


@pytest.fixture(autouse=True)
def _cloud_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sets credentials with which requests to Amazon's providers are signed, without any network."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "id")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_REGION_NAME", "us-east-1")


async def _read_all(provider: str, client: ExchangeClient | MappingClient) -> None:
    stream = await library.acompletion(
        model=f"{provider}/{MODELS.get(provider, 'some-model')}",
        messages=[{"role": "user", "content": "hi"}],
        client=client,
        api_key="sk-of-the-call",
        api_base="http://127.0.0.1:9/v1",
        stream=True,
        stream_options={"include_usage": True},
    )
    async with aclosing(stream):
        async for _ in stream:
            pass


@pytest.mark.parametrize("provider", sorted(providers.SDK_SHAPE | providers.HTTP_SHAPE))
async def test_litellm_takes_our_client(provider: str) -> None:
    """litellm takes our client in the shape that the tables say, so that the connection is ours."""
    await library.load()
    make: Any = library.make_client_class(MappingClient, for_azure=provider == "azure")
    client: MappingClient = make()
    with suppress(Exception):  # litellm cannot read an answer without anything
        await _read_all(provider, client)

    assert client.recorded is not None
    assert (client.recorded.headers is None) is (provider in providers.SDK_SHAPE)


@pytest.mark.parametrize("provider", sorted(providers.HTTP_SHAPE))
async def test_a_key_is_all_that_is_sent(provider: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A provider for which callers may have keys gets the key of the call, and no key of the environment."""
    monkeypatch.setenv("AWS_BEARER_TOKEN_BEDROCK", "sk-of-the-environment")
    exchange = UnsentExchange(ConnectionPool(limit=1), TransportLimits(), {})
    await library.load()
    make: Any = library.make_client_class(ExchangeClient, for_azure=False)
    with suppress(Exception):  # whatever litellm raises in its place
        await _read_all(provider, make(exchange, OutgoingRequest(_DEPLOYMENT, {})))

    carries_key = any("sk-of-the-call" in text for text in exchange.sent)

    assert carries_key is takes_key(provider)
    assert ("sk-of-the-environment" in "".join(exchange.sent)) is not takes_key(provider)


def test_the_tables_name_only_known_providers() -> None:
    """Each provider of the tables is known to litellm, and goes one way."""
    named = providers.SDK_SHAPE | providers.HTTP_SHAPE | providers.SPEAKS_OPENAI | providers.SIGNS_REQUESTS
    named |= providers.TEXT_COMPLETION | providers.OWN_CREDENTIALS | providers.WITHOUT_ADDRESS

    assert [provider for provider in sorted(named) if not library.has_provider(provider)] == []
    assert frozenset() == providers.SDK_SHAPE & providers.HTTP_SHAPE
    assert providers.SIGNS_REQUESTS <= providers.HTTP_SHAPE & providers.OWN_CREDENTIALS
    assert not library.has_provider("nobody")


def test_each_provider_on_our_wire_has_an_address() -> None:
    """A prompt goes to an address of its provider, or to the configured one, and never to another provider."""
    without = {provider for provider in providers.SDK_SHAPE if not library.find_api_base(f"{provider}/some-model")} - {
        "openai"
    }

    assert without == (providers.WITHOUT_ADDRESS & providers.SDK_SHAPE) - {"llamafile"}


def test_each_translated_protocol_has_a_reader() -> None:
    """The providers whose requests litellm translates for us are those whose answers we can read."""
    assert READERS.keys() == providers.TRANSLATED


@pytest.mark.parametrize(
    ("provider", "has_key", "expected"),
    [
        ("openai", True, Way.OWN_WIRE),
        ("azure", True, Way.OWN_WIRE),
        ("azure", False, Way.FOREIGN),
        ("anthropic", True, Way.OWN_WIRE),
        ("gemini", True, Way.OWN_WIRE),
        ("bedrock", True, Way.PLAIN),
        ("vertex_ai", False, Way.FOREIGN),
        ("groq", True, Way.OWN_WIRE),
        ("cohere", True, Way.FOREIGN),
    ],
)
def test_the_way_of_a_model_is_explained(provider: str, has_key: bool, expected: Way) -> None:
    """The way of a model's calls is found, and a sentence says why."""
    found, reason = explain_way(provider, has_key=has_key)

    assert found is expected
    assert provider in reason
