"""Values that are valid alone but not together are refused."""

from typing import Final

import pytest

from tests.support.configuration import CALLER_TABLE, MODEL_TABLE, TOKEN_HASH, expect_problems, read_toml

LISTEN: Final = "listen: must be HOST:PORT, such as 127.0.0.1:50051 or [::]:50051"
ADMIN_ADDRESS: Final = "must be HOST:PORT, such as 127.0.0.1:9464 or [::]:9464, or PORT alone"
CONTRADICTIONS = [
    pytest.param('tls_key = "k"', {}, ["tls_certificate and tls_key: give both or neither"], id="key alone"),
    pytest.param('tls_certificate = "c"', {}, ["tls_certificate and tls_key: give both or neither"], id="TLS alone"),
    pytest.param('tls_client_ca = "c"', {}, ["tls_client_ca: needs tls_certificate and tls_key"], id="client CA"),
    pytest.param(
        'default_mode = "orchestration"\norchestration = "off"',
        {},
        ["default_mode: is orchestration, which the option orchestration switches off"],
        id="mode",
    ),
    pytest.param('embedded = "off"', {}, ["there is no model: configure one, or set embedded to on"], id="no model"),
    pytest.param(
        MODEL_TABLE + 'fallback_models = ["m"]',
        {"LITELLM_BASE_URL": "http://127.0.0.1:4000"},
        ["models.m.fallback_models: 'm' is not another model"],
        id="itself, with a proxy",
    ),
    pytest.param(
        MODEL_TABLE + 'fallback_models = ["m"]', {}, ["models.m.fallback_models: 'm' is not another model"], id="itself"
    ),
    pytest.param(
        f'[callers.a]\ntoken_hash = "{TOKEN_HASH}"\n[callers.b]\ntoken_hash = "{TOKEN_HASH}"',
        {},
        ["callers: two callers have the same token_hash"],
        id="one token for two",
    ),
    pytest.param(
        f'[callers.a]\ntoken_hash = "{TOKEN_HASH}"\n[callers.b]\ntoken_hashes = ["{TOKEN_HASH}"]',
        {},
        ["callers: two callers have the same token_hash"],
        id="one of two tokens for two",
    ),
    pytest.param(
        'listen = "127.0.0.1:0"\ntls_certificate = "c"\ntls_key = "k"\ntls_client_ca = "a"\n'
        '[callers.a]\ncertificate_names = ["x"]\n[callers.b]\ncertificate_names = ["x", "y"]',
        {},
        ["callers: two callers have the certificate name 'x'"],
        id="one certificate for two",
    ),
    pytest.param(
        '[callers.a]\ncertificate_names = ["x"]',
        {},
        ["callers.a.certificate_names: needs tls_client_ca, which checks the certificates"],
        id="certificates that nobody checks",
    ),
    *(
        pytest.param(f'listen = "{value}"', {}, [LISTEN], id=f"listen {value}")
        for value in ("", "50051", "127.0.0.1", "127.0.0.1:", ":50051", "127.0.0.1:http", "127.0.0.1:65536", "[::1]")
    ),
    *(
        pytest.param(f'{name} = "{value}"', {}, [f"{name}: {ADMIN_ADDRESS}"], id=f"{name} {value}")
        for name in ("admin_listen", "health_listen")
        for value in ("127.0.0.1", ":9464", "127.0.0.1:http", "65536", "127.0.0.1:65536")
    ),
    pytest.param(
        'listen = "nowhere"\nembedded = "off"\ntls_key = "k"',
        {},
        [
            "tls_certificate and tls_key: give both or neither",
            "there is no model: configure one, or set embedded to on",
            LISTEN,
        ],
        id="several",
    ),
]


@pytest.mark.parametrize(("text", "environment", "expected"), CONTRADICTIONS)
def test_contradictions_are_refused(text: str, environment: dict[str, str], expected: list[str]) -> None:
    """Every contradiction in a configuration is reported."""
    assert expect_problems(text, environment=environment) == expected


TLS: Final = 'tls_certificate = "c"\ntls_key = "k"\n'


@pytest.mark.parametrize(
    ("text", "missing"),
    [
        pytest.param("", "callers and TLS", id="neither"),
        pytest.param(CALLER_TABLE, "TLS", id="callers without TLS"),
        pytest.param(TLS, "callers", id="TLS without callers"),
    ],
)
@pytest.mark.parametrize("host", ["0.0.0.0", "[::]", "192.168.0.1", "example.com", "127.example.com"])
def test_an_open_address_needs_tokens_and_tls(host: str, text: str, missing: str) -> None:
    """An address beyond loopback without tokens or without TLS is refused, unless `allow_insecure` is set."""
    text = f'listen = "{host}:50051"\n{text}'

    assert expect_problems(text) == [
        f"listen: {host} is not loopback, so {missing} must be configured; see allow_insecure"
    ]
    assert read_toml(text, flags={"allow_insecure": True}).settings.listen == f"{host}:50051"


def test_an_open_address_with_tokens_and_tls_is_accepted() -> None:
    """An address beyond loopback with tokens and TLS needs no further option."""
    assert read_toml(f'listen = "0.0.0.0:50051"\n{TLS}{CALLER_TABLE}').settings.listen == "0.0.0.0:50051"
