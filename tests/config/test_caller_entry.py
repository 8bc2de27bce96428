"""The tables `[callers.NAME]` become caller entries."""

import pytest

from reasoning_grpc.config import CallerEntry, hash_token
from reasoning_grpc.domain import CallerLimits
from tests.support.configuration import CALLER_TABLE, MODEL_TABLE, TOKEN_HASH, expect_problems, read_toml


def test_allowed_models_are_read() -> None:
    """Without `allowed_models` a caller may use every model; an empty list allows none."""
    other = hash_token("rgt_bob")
    text = f'[callers.a]\ntoken_hash = "{TOKEN_HASH}"\n[callers.b]\ntoken_hash = "{other}"\nallowed_models = []\n'

    callers = read_toml(text).callers

    assert callers == {
        "a": CallerEntry(name="a", token_hash=TOKEN_HASH, allowed_models=None),
        "b": CallerEntry(name="b", token_hash=other, allowed_models=frozenset()),
    }


def test_a_caller_may_have_keys_of_its_own() -> None:
    """A caller's upstream keys are read from the environment, and no repr contains them."""
    text = f'{CALLER_TABLE}upstream_keys = {{ m = "KEY", "openai/*" = "OTHER" }}\n{MODEL_TABLE}'

    config = read_toml(text, environment={"KEY": "sk-virtual", "OTHER": "sk-other"})

    keys = config.callers["a"].upstream_keys
    assert {name: key.reveal() for name, key in keys.items()} == {"m": "sk-virtual", "openai/*": "sk-other"}
    assert "sk-" not in repr(config)


@pytest.mark.parametrize(
    ("value", "expected"),
    [(None, "is not set"), ("", "is not set"), ("sk-virtual\n", "must be visible ASCII characters")],
)
def test_a_callers_key_must_be_usable(value: str | None, expected: str) -> None:
    """A variable that is missing, empty or not a key is reported by its name."""
    text = f'{CALLER_TABLE}upstream_keys = {{ m = "KEY" }}\n{MODEL_TABLE}'

    assert expect_problems(text, environment={} if value is None else {"KEY": value}) == [
        f"callers.a.upstream_keys.m: the environment variable KEY {expected}"
    ]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ('"KEY"', "callers.a.upstream_keys: must be a table"),
        ('{ m = "" }', "callers.a.upstream_keys.m: must be a string that is not empty"),
        ("{ m = 1 }", "callers.a.upstream_keys.m: must be a string that is not empty"),
        (
            '{ m = "sk-virtual" }',
            "callers.a.upstream_keys.m: must be the name of an environment variable, "
            'such as "OPENAI_API_KEY", and not the secret',
        ),
    ],
)
def test_upstream_keys_name_variables(value: str, expected: str) -> None:
    """A table of keys that is not one of models and variables is refused, and no value of it is printed."""
    assert expect_problems(f"{CALLER_TABLE}upstream_keys = {value}\n{MODEL_TABLE}") == [expected]


def test_a_caller_may_have_several_tokens_and_certificates() -> None:
    """While a token is rotated a caller has two hashes, and it may be known by the names in its certificates alone."""
    other = hash_token("rgt_bob")
    tls = 'tls_certificate = "c"\ntls_key = "k"\ntls_client_ca = "a"\n'
    text = (
        f'{tls}{CALLER_TABLE}token_hashes = ["{other}"]\n'
        '[callers.b]\ncertificate_names = ["billing.example.com", "spiffe://example.com/billing"]\n'
    )

    callers = read_toml(text).callers

    assert callers["a"].list_token_hashes() == (TOKEN_HASH, other)
    assert callers["b"].list_token_hashes() == ()
    assert callers["b"].certificate_names == ("billing.example.com", "spiffe://example.com/billing")


def test_limits_and_priority_are_read() -> None:
    """A caller without any limit has none, so that its calls pay for none; US dollars become nano-dollars."""
    other = hash_token("rgt_bob")
    limits = (
        "requests_per_minute = 60\ntokens_per_minute = 9000\ncalls_in_flight = 4\nusd_per_day = 2.5\npriority = 9\n"
    )

    callers = read_toml(f'{CALLER_TABLE}{limits}[callers.b]\ntoken_hash = "{other}"').callers

    assert callers["a"].limits == CallerLimits(
        requests_per_minute=60, tokens_per_minute=9000, calls_in_flight=4, nano_usd_per_day=2_500_000_000
    )
    assert (callers["a"].priority, callers["b"].priority, callers["b"].limits) == (9, 5, None)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("requests_per_minute = 0", "requests_per_minute: must be a whole number from 1 to 2147483647"),
        ("tokens_per_minute = 1.5", "tokens_per_minute: must be a whole number from 1 to 2147483647"),
        ('calls_in_flight = "many"', "calls_in_flight: must be a whole number from 1 to 2147483647"),
        ("usd_per_day = 0", "usd_per_day: must be US dollars, such as 2.50, from 0.000000001 to 1000000"),
        ("usd_per_day = nan", "usd_per_day: must be US dollars, such as 2.50, from 0.000000001 to 1000000"),
        ("usd_per_day = 1e-10", "usd_per_day: must be US dollars, such as 2.50, from 0.000000001 to 1000000"),
        ("priority = 10", "priority: must be a whole number from 1 to 9"),
        ('token_hashes = "x"', "token_hashes: must be a list of strings"),
        ('token_hashes = ["x"]', "token_hashes[0]: must be what `reasoning-grpc token new` printed as the hash"),
        ("certificate_names = [1]", "certificate_names: must be a list of strings"),
    ],
)
def test_a_bad_limit_or_identity_is_refused(line: str, expected: str) -> None:
    """Each value out of range or of another type is reported in one line."""
    assert expect_problems(f"{CALLER_TABLE}{line}\n") == [f"callers.a.{expected}"]


def test_a_caller_needs_an_identity() -> None:
    """Empty lists are no tokens."""
    assert expect_problems("[callers.a]\ntoken_hashes = []\n") == ["callers.a.token_hash: is missing"]
