"""The environment names a LiteLLM proxy, whose address and key reach the models behind it."""

from typing import Final

import pytest

from reasoning_grpc.server.config_check import find_config_problems
from tests.support.configuration import expect_problems, read_toml

PROXY_URL: Final = "http://127.0.0.1:4000"


@pytest.mark.parametrize("url", [f"{PROXY_URL}{end}" for end in ("", "/", "/v1", "/v1/", "//v1//")])
def test_a_proxy_is_named_by_the_environment(url: str) -> None:
    """An address with or without /v1 is the same proxy, and the embedded model does not run unless it is set to on."""
    config = read_toml(environment={"LITELLM_BASE_URL": url, "LITELLM_API_KEY": "sk-1"})

    assert config.proxy is not None
    assert (config.proxy.base_url, config.proxy.api_base) == (PROXY_URL, f"{PROXY_URL}/v1")
    assert config.proxy.api_key.reveal() == "sk-1"
    assert "sk-1" not in repr(config)
    assert not config.runs_embedded
    assert find_config_problems(config) == []


def test_a_proxy_may_have_a_path_and_no_key() -> None:
    """A path before /v1 is kept, the key may be missing, and the embedded model also runs when it is set to on."""
    config = read_toml('embedded = "on"', environment={"LITELLM_BASE_URL": "https://example.com/llm/v1"})

    assert config.proxy is not None
    assert config.proxy.api_base == "https://example.com/llm/v1"
    assert not config.proxy.api_key
    assert config.runs_embedded


@pytest.mark.parametrize("environment", [{}, {"LITELLM_BASE_URL": ""}, {"LITELLM_API_KEY": "sk-1"}])
def test_without_an_address_there_is_no_proxy(environment: dict[str, str]) -> None:
    """A key without an address, which other programs may need, is ignored."""
    assert read_toml(environment=environment) == read_toml()


PROXY_BASE: Final = f'must be an http or https URL, such as "{PROXY_URL}"'


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        *(
            pytest.param({"LITELLM_BASE_URL": url}, [f"LITELLM_BASE_URL: {PROXY_BASE}"], id=url)
            for url in ("localhost:4000", "ftp://h", "http://", "http://h:x", "http://h:99999", "http://[::1", " ")
        ),
        pytest.param(
            {"LITELLM_BASE_URL": "http://user:s3cret@h"},
            ["LITELLM_BASE_URL: must not hold a password; use LITELLM_API_KEY"],
            id="a password",
        ),
        *(
            pytest.param(
                {"LITELLM_BASE_URL": f"http://h/{end}"},
                ["LITELLM_BASE_URL: must have no query and no fragment"],
                id=f"the end {end}",
            )
            for end in ("?key=s3cret", "v1#x", "v1?")
        ),
        *(
            pytest.param(
                {"LITELLM_BASE_URL": PROXY_URL, "LITELLM_API_KEY": key},
                ["LITELLM_API_KEY: must be visible ASCII characters"],
                id=f"the key {key!r}",
            )
            for key in ("s3cret\n", "s3cret x", "\u00e4")
        ),
    ],
)
def test_a_bad_proxy_is_refused(environment: dict[str, str], expected: list[str]) -> None:
    """The message names the variable, and contains no part of a key or a password."""
    found = expect_problems(environment=environment)

    assert found == expected
    assert "s3cret" not in "\n".join(found)


def test_an_entry_takes_the_address_of_the_proxy() -> None:
    """A `litellm_proxy/` entry without an address takes the proxy's address, and its key if it has no key itself."""
    text = """
    [models.plain]
    litellm_model = "litellm_proxy/m"
    [models.own-key]
    litellm_model = "litellm_proxy/m"
    api_key_env = "OWN_KEY"
    [models.elsewhere]
    litellm_model = "litellm_proxy/m"
    api_base = "http://127.0.0.1:9/v1"
    [models.direct]
    litellm_model = "openai/m"
    """
    environment = {"LITELLM_BASE_URL": PROXY_URL, "LITELLM_API_KEY": "sk-1", "OWN_KEY": "sk-2"}

    models = read_toml(text, environment=environment).models

    assert {name: (entry.api_base, entry.api_key.reveal()) for name, entry in models.items()} == {
        "plain": (f"{PROXY_URL}/v1", "sk-1"),
        "own-key": (f"{PROXY_URL}/v1", "sk-2"),
        "elsewhere": ("http://127.0.0.1:9/v1", ""),
        "direct": ("", ""),
    }
