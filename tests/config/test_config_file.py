"""The configuration file is found, read as a whole, and refused with every problem that it has."""

import tomllib
from pathlib import Path

import pytest

from reasoning_grpc.config import (
    ConfigError,
    read_config,
)
from tests.support.configuration import MODEL_TABLE, TOKEN_HASH, expect_problems, read_toml


def test_problems_of_all_sources_are_reported_together() -> None:
    """Bad values of every source, bad entries and unknown keys are reported at the same time."""
    text = """
    max_retries = -1
    color = "red"
    [models.m]
    litellm_model = "gpt"
    [callers.c]
    """

    found = expect_problems(text, flags={"grace_seconds": "soon"}, environment={"REASONING_REFLECTION": "maybe"})

    assert found == [
        "color: is not a known key",
        "REASONING_REFLECTION: must be true or false",
        "max_retries: must be at least 0 and at most 10",
        "--grace-seconds: must be a number",
        'models.m.litellm_model: must be "PROVIDER/MODEL", such as "openai/gpt-4o-mini"',
        "callers.c.token_hash: is missing",
    ]


def test_the_file_is_chosen_by_flag_variable_and_folder(tmp_path: Path) -> None:
    """The flag names the file, else the variable, else `reasoning.toml` in the working directory is read."""
    for number, name in enumerate(("flag.toml", "variable.toml", "reasoning.toml"), start=1):
        (tmp_path / name).write_text(f"max_retries = {number}")
    variable = {"REASONING_CONFIG": str(tmp_path / "variable.toml")}

    found = [
        read_config(flags={}, environment=variable, file=tmp_path / "flag.toml"),
        read_config(flags={}, environment=variable),
        read_config(flags={}, environment={}),
        read_config(flags={}, environment={"REASONING_CONFIG": ""}),
    ]

    assert [config.settings.max_retries for config in found] == [1, 2, 3, 3]


def expect_file_problems(file: Path) -> list[str]:
    """Reads a file that must be refused, and returns its problems."""
    with pytest.raises(ConfigError) as failed:
        read_config(flags={}, environment={}, file=file)
    return failed.value.problems


def test_a_named_file_must_exist(tmp_path: Path) -> None:
    """A missing file is an error when a flag or a variable names it."""
    missing = tmp_path / "no.toml"

    assert expect_file_problems(missing) == [f"{missing}: there is no such file"]
    assert expect_problems(environment={"REASONING_CONFIG": str(missing)}) == [f"{missing}: there is no such file"]


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    """A folder, bytes that are not text, and text that is not TOML are refused, each in one line."""
    (tmp_path / "latin.toml").write_bytes(b'default_model = "\xe4"')
    (tmp_path / "broken.toml").write_text("listen = \n")
    with pytest.raises(tomllib.TOMLDecodeError) as broken:
        tomllib.loads("listen = \n")

    assert expect_file_problems(tmp_path) == [f"{tmp_path}: cannot be read: Is a directory"]
    assert expect_file_problems(tmp_path / "latin.toml") == [f"{tmp_path / 'latin.toml'}: is not UTF-8 text"]
    assert expect_file_problems(tmp_path / "broken.toml") == [
        f"{tmp_path / 'broken.toml'}: is not TOML: {broken.value}"
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("models = 1", ["models: must be a table of tables, such as [models.NAME]"], id="models"),
        pytest.param("callers = []", ["callers: must be a table of tables, such as [callers.NAME]"], id="callers"),
        pytest.param(
            "[models]\nm = 1", ["models.m: must be a table", "models.m.litellm_model: is missing"], id="a model"
        ),
        pytest.param(
            "[callers]\nc = 1", ["callers.c: must be a table", "callers.c.token_hash: is missing"], id="a caller"
        ),
        pytest.param(
            '[callers.c]\ntoken_hash = "rgt_plain"',
            ["callers.c.token_hash: must be what `reasoning-grpc token new` printed as the hash"],
            id="a plain token",
        ),
        pytest.param(
            f'[callers.c]\ntoken_hash = "{TOKEN_HASH}"\nallowed_models = "m"\nrole = 1',
            ["callers.c.allowed_models: must be a list of strings", "callers.c.role: is not a known key"],
            id="other keys of a caller",
        ),
    ],
)
def test_a_table_of_the_wrong_shape_is_refused(text: str, expected: list[str]) -> None:
    """Each mistake in the shape of a table, or in a caller's table, is reported in one line."""
    assert expect_problems(text) == expected


def test_no_secret_is_printed() -> None:
    """The repr of an entry and that of the configuration do not contain a key from the environment."""
    config = read_toml(MODEL_TABLE + 'api_key_env = "KEY"', environment={"KEY": "sk-very-secret"})

    assert config.models["m"].api_key.reveal() == "sk-very-secret"
    assert "sk-very-secret" not in repr(config)
    assert "sk-very-secret" not in str(config.models["m"])


def test_no_secret_is_in_a_problem() -> None:
    """The message about a value that could be a key or a password does not contain it."""
    text = MODEL_TABLE.replace("http://127.0.0.1:9", "http://user:s3cret@h") + 'api_key = "s3cret"'

    found = expect_problems(text + '\n[callers.c]\ntoken_hash = "s3cret"')

    assert len(found) == 3
    assert "s3cret" not in "\n".join(found)
