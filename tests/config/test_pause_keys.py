"""The keys of paused runs are read from a variable or a file, and never shown."""

import base64
from pathlib import Path
from typing import Final

import pytest

from reasoning_grpc.config import compute_fingerprint, decode_pause_key
from tests.support.configuration import expect_problems, read_toml

FIRST: Final = base64.b64encode(bytes(range(200, 232))).decode()
SECOND: Final = base64.urlsafe_b64encode(b"\xff" * 32).decode()
FORM: Final = "must hold keys of 32 bytes in base64, such as `openssl rand -base64 32` prints"


def test_keys_of_a_variable_are_read_in_their_order() -> None:
    """The keys are separated by commas, and may be in either alphabet of base64."""
    config = read_toml('pause_keys_env = "KEYS"', environment={"KEYS": f"{FIRST},{SECOND}"})

    assert [decode_pause_key(key) for key in config.pause_keys] == [bytes(range(200, 232)), b"\xff" * 32]
    assert FIRST not in repr(config)
    assert compute_fingerprint(config) == compute_fingerprint(
        read_toml('pause_keys_env = "KEYS"', environment={"KEYS": f"{SECOND},{FIRST}"})
    )


def test_keys_of_a_file_are_read_in_their_order() -> None:
    """The file has a key in each line."""
    Path("keys").write_text(f"{SECOND}\n{FIRST}\n", "utf-8")

    config = read_toml('pause_keys_file = "keys"')

    assert [decode_pause_key(key) for key in config.pause_keys] == [b"\xff" * 32, bytes(range(200, 232))]


def test_without_the_options_there_are_no_keys() -> None:
    """No other variable counts."""
    assert read_toml(environment={"KEYS": FIRST}).pause_keys == ()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        pytest.param('pause_keys_env = "NO"', "pause_keys_env: the environment variable NO is not set", id="unset"),
        pytest.param('pause_keys_env = "SHORT"', f"pause_keys_env: {FORM}", id="too short"),
        pytest.param('pause_keys_env = "WORDS"', f"pause_keys_env: {FORM}", id="no base64"),
        pytest.param('pause_keys_env = "BLANK"', f"pause_keys_env: {FORM}", id="blank"),
        pytest.param('pause_keys_env = "HALF"', f"pause_keys_env: {FORM}", id="one of two"),
        pytest.param('pause_keys_env = "TWICE"', "pause_keys_env: must not hold a key twice", id="twice"),
        pytest.param(
            f'pause_keys_env = "{FIRST}"',
            "pause_keys_env: must be the name of an environment variable, and not the keys",
            id="the key itself",
        ),
        pytest.param(
            'pause_keys_file = "nowhere"',
            "pause_keys_file: 'nowhere' is not a readable file of UTF-8 text",
            id="no file",
        ),
        pytest.param('pause_keys_file = "bad"', f"pause_keys_file: {FORM}", id="a file without keys"),
        pytest.param(
            'pause_keys_env = "GOOD"\npause_keys_file = "bad"',
            "pause_keys_env and pause_keys_file: give one of them",
            id="both",
        ),
    ],
)
def test_what_holds_no_keys_is_refused(text: str, problem: str) -> None:
    """The sentence names the option, and shows nothing of the keys."""
    Path("bad").write_text("a key", "utf-8")
    variables = {
        "GOOD": FIRST,
        "SHORT": base64.b64encode(bytes(31)).decode(),
        "WORDS": "correct horse battery staple",
        "BLANK": " , ",
        "HALF": f"{FIRST},{FIRST[:-4]}",
        "TWICE": f"{FIRST},{FIRST}",
    }

    problems = expect_problems(text, environment=variables)

    assert problems == [problem]
    assert FIRST not in "".join(problems)
