"""A running server takes of a new configuration what needs no restart, and recognizes what did not change."""

from typing import Final

from reasoning_grpc.config import compute_fingerprint, find_kept_options, inspect_config, keep_unchanged_entries
from reasoning_grpc.config.settings import EmbeddedUse
from tests.support.configuration import CALLER_TABLE, MODEL_TABLE, read_toml

KEYED: Final = MODEL_TABLE + 'api_key_env = "KEY"\n'


def test_the_fingerprint_depends_on_what_is_configured() -> None:
    """The order of tables plays no part, nor does where a value comes from; every value does."""
    first = read_toml("max_messages = 7\n" + MODEL_TABLE + CALLER_TABLE)
    same = read_toml(CALLER_TABLE + MODEL_TABLE, flags={"max_messages": "7"})
    other = read_toml("max_messages = 8\n" + MODEL_TABLE + CALLER_TABLE)

    assert compute_fingerprint(first) == compute_fingerprint(same) != compute_fingerprint(other)
    assert len(compute_fingerprint(first)) == 12


def test_the_fingerprint_says_nothing_of_secrets() -> None:
    """It may be logged, so a key plays no part in it."""
    first, second = (read_toml(KEYED, environment={"KEY": key}) for key in ("sk-1", "sk-2"))

    assert compute_fingerprint(first) == compute_fingerprint(second)


def test_an_entry_that_did_not_change_keeps_its_object() -> None:
    """What was built for it can then be kept; an entry with another key is another entry."""
    old = read_toml(KEYED + CALLER_TABLE, environment={"KEY": "sk-1"})
    again = keep_unchanged_entries(old, read_toml(KEYED + CALLER_TABLE, environment={"KEY": "sk-1"}))
    rotated = keep_unchanged_entries(old, read_toml(KEYED + CALLER_TABLE, environment={"KEY": "sk-2"}))

    assert again.models["m"] is old.models["m"]
    assert rotated.models["m"].api_key.reveal() == "sk-2"
    assert rotated.callers["a"] is old.callers["a"]


def test_options_that_need_a_restart_keep_their_values() -> None:
    """Only those that differ are named, and the configuration can be read again with their values."""
    old = read_toml('listen = "127.0.0.1:1"\nmax_messages = 1\n' + MODEL_TABLE)
    text = 'listen = "127.0.0.1:2"\nmax_messages = 2\nkeepalive_seconds = 20\n' + MODEL_TABLE

    kept = find_kept_options(old, read_toml(text))
    config, problems = inspect_config(flags={}, environment={}, kept=kept)

    assert kept == {"listen": "127.0.0.1:1"}
    assert problems == []
    assert (config.settings.listen, config.settings.max_messages) == ("127.0.0.1:1", 2)


TLS: Final = 'tls_certificate = "c"\ntls_key = "k"\n'


def test_tls_is_neither_turned_on_nor_off() -> None:
    """Other files are no change of this kind, but TLS itself and the demand for certificates of clients are."""
    plain, secure = read_toml(MODEL_TABLE), read_toml(TLS + MODEL_TABLE)
    mutual = read_toml(TLS + 'tls_client_ca = "a"\n' + MODEL_TABLE)
    moved = read_toml(TLS.replace('"c"', '"other"') + MODEL_TABLE)

    assert find_kept_options(plain, secure) == {"tls_certificate": None, "tls_key": None}
    assert find_kept_options(secure, mutual) == {"tls_client_ca": None}
    assert find_kept_options(secure, moved) == {}


def test_the_embedded_model_neither_starts_nor_stops() -> None:
    """A first model of the configuration would end it, and is served beside it until the restart."""
    embedded, configured = read_toml(""), read_toml(MODEL_TABLE)

    assert find_kept_options(embedded, configured) == {"embedded": EmbeddedUse.ON}
    assert find_kept_options(configured, embedded) == {"embedded": EmbeddedUse.OFF}
