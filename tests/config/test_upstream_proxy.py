"""The options of the HTTP proxy become an entry, which knows the hosts that it carries."""

from typing import Final

import pytest

from reasoning_grpc.config import Config
from tests.support.configuration import MODEL_TABLE, expect_problems, read_toml

URL: Final = "http://proxy.example.com:3128"


def read_proxy(exclude: str = "") -> Config:
    """Reads a configuration with a proxy and these excluded hosts."""
    return read_toml(f'upstream_proxy = "{URL}"\nupstream_proxy_exclude = "{exclude}"\n{MODEL_TABLE}')


def test_the_options_are_read_from_everywhere() -> None:
    """A flag wins over a variable, which wins over the file; the credentials are in a variable and in no repr."""
    text = f'upstream_proxy = "http://file:1"\nupstream_proxy_exclude = "a.example"\n{MODEL_TABLE}'
    environment = {
        "REASONING_UPSTREAM_PROXY": "http://variable:2",
        "REASONING_UPSTREAM_PROXY_CREDENTIALS_ENV": "PROXY_CREDENTIALS",
        "PROXY_CREDENTIALS": "server:pass:word",
    }

    config = read_toml(text, flags={"upstream_proxy": f"{URL}/"}, environment=environment)

    proxy = config.upstream_proxy
    assert proxy is not None
    assert proxy.url == URL
    assert proxy.credentials is not None
    assert proxy.credentials.reveal() == "server:pass:word"
    assert proxy.excluded_names == frozenset({"a.example"})
    assert "pass:word" not in repr(config)


def test_without_the_option_there_is_no_proxy() -> None:
    """The proxy variables of the environment count for nothing."""
    environment = dict.fromkeys(("HTTPS_PROXY", "https_proxy", "ALL_PROXY"), URL)

    assert read_toml(MODEL_TABLE, environment=environment).upstream_proxy is None


@pytest.mark.parametrize(
    ("host", "is_carried"),
    [
        ("api.openai.com", True),
        ("203.0.113.7", True),
        ("2001:db8::1", True),
        ("localhost", False),
        ("LocalHost.", False),
        ("models.localhost", False),
        ("127.0.0.1", False),
        ("127.8.9.10", False),
        ("0.0.0.0", False),
        ("::1", False),
        ("[::1]", False),
        ("::ffff:127.0.0.1", False),
        ("example.com", False),
        ("EXAMPLE.com.", False),
        ("vllm.example.com", False),
        ("notexample.com", True),
        ("example.com.evil.net", True),
        ("corp", False),
        ("gpu.corp", False),
        ("10.1.2.3", False),
        ("11.1.2.3", True),
        ("192.168.7.7", False),
        ("192.168.7.8", True),
        ("fd12::1", False),
        ("::ffff:10.1.2.3", False),
    ],
)
def test_hosts_that_the_proxy_carries(host: str, is_carried: bool) -> None:
    """This machine is always reached directly, and so are excluded names with all below them, and networks."""
    proxy = read_proxy("Example.com, .corp,10.0.0.0/8 , 192.168.7.7,fd00::/8,").upstream_proxy

    assert proxy is not None
    assert proxy.carries(host) is is_carried


NOT_A_HOST: Final = "is not the name of a host, an address or a network such as 10.0.0.0/8"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('upstream_proxy = "proxy:3128"', f'upstream_proxy: must be an http or https URL, such as "{URL}"'),
        ('upstream_proxy = "socks5://proxy:1080"', f'upstream_proxy: must be an http or https URL, such as "{URL}"'),
        (
            'upstream_proxy = "http://server:secret@proxy:3128"',
            "upstream_proxy: must not hold a password; use upstream_proxy_credentials_env",
        ),
        ('upstream_proxy = "http://proxy:3128/path"', f'upstream_proxy: must have no path, such as "{URL}"'),
        ('upstream_proxy = "http://proxy:3128?a=b"', f'upstream_proxy: must have no path, such as "{URL}"'),
        ('upstream_proxy_exclude = "example.com"', "upstream_proxy_exclude: needs upstream_proxy"),
        (
            f'upstream_proxy = "{URL}"\nupstream_proxy_exclude = "*.example.com"',
            f"upstream_proxy_exclude: '*.example.com' {NOT_A_HOST}",
        ),
        (
            f'upstream_proxy = "{URL}"\nupstream_proxy_exclude = "example.com:443"',
            f"upstream_proxy_exclude: 'example.com:443' {NOT_A_HOST}",
        ),
        (
            f'upstream_proxy = "{URL}"\nupstream_proxy_exclude = "10.0.0"',
            f"upstream_proxy_exclude: '10.0.0' {NOT_A_HOST}",
        ),
        (
            f'upstream_proxy = "{URL}"\nupstream_proxy_credentials_env = "NOBODY"',
            "upstream_proxy_credentials_env: the environment variable NOBODY is not set",
        ),
        (
            f'upstream_proxy = "{URL}"\nupstream_proxy_credentials_env = "server:secret"',
            "upstream_proxy_credentials_env: must be the name of an environment variable, and not the credentials",
        ),
        (
            f'upstream_proxy = "{URL}"\nupstream_proxy_credentials_env = "WRONG"',
            "upstream_proxy_credentials_env: the environment variable WRONG must be USER:PASSWORD",
        ),
        ('upstream_proxy_credentials_env = "WRONG"', None),
    ],
)
def test_wrong_values_are_refused(text: str, expected: str | None) -> None:
    """Each value that cannot be used is a problem, and no secret is printed."""
    problems = expect_problems(f"{text}\n{MODEL_TABLE}", environment={"WRONG": "secret-without-a-user"})

    assert problems == [expected] if expected else "upstream_proxy_credentials_env: needs upstream_proxy" in problems
    assert "secret" not in "".join(problems)


def test_mcp_servers_are_behind_the_proxy() -> None:
    """An MCP server over HTTP is reached through the proxy, unless its host is excluded or on this machine."""
    servers = {
        "far": 'url = "https://mcp.example.net/mcp"',
        "near": 'url = "https://mcp.example.com/mcp"',
        "here": 'url = "http://127.0.0.1:9/mcp"',
        "process": 'command = "true"',
    }
    config = read_toml(
        f'upstream_proxy = "{URL}"\nupstream_proxy_exclude = "example.com"\n{MODEL_TABLE}'
        + "".join(f"[mcp_servers.{name}]\n{text}\n" for name, text in servers.items())
    )

    behind = {name: entry.upstream_proxy for name, entry in config.mcp_servers.items()}
    assert behind == {"far": config.upstream_proxy, "near": None, "here": None, "process": None}
