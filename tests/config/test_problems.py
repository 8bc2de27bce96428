"""All problems of a configuration come at once, with suggestions, and without those that follow from others."""

import pytest

from tests.support.configuration import CALLER_TABLE, MODEL_TABLE, TOKEN_HASH, expect_problems

FAULTS: dict[str, tuple[str, list[str]]] = {
    "faults in values and in names": (
        """
        max_retries = -1
        [models.m]
        litellm_model = "gpt"
        [[rules]]
        id = "a"
        when = { callers = ["alicce"] }
        then = { route = "passthru" }
        [callers.alice]
        token_hash = "x"
        allowed_routes = ["raesoning"]
        """,
        [
            "max_retries: must be at least 0 and at most 10",
            'models.m.litellm_model: must be "PROVIDER/MODEL", such as "openai/gpt-4o-mini"',
            "callers.alice.token_hash: must be what `reasoning-grpc token new` printed as the hash",
            "rules.a.then.route: 'passthru' is not a route; did you mean passthrough?",
            "rules.a.when.callers: 'alicce' is not a caller; did you mean alice?",
            "callers.alice.allowed_routes: 'raesoning' is not a route; did you mean reasoning?",
        ],
    ),
    "a misspelt key that is required": (
        '[models.m]\nlitelm_model = "openai/m"',
        ["models.m.litelm_model: is not a known key; did you mean litellm_model?"],
    ),
    "a misspelt table": (
        f"embedded = 'off'\n{MODEL_TABLE.replace('models', 'model')}",
        ["model: is not a known key; did you mean models?"],
    ),
    "a table that is none": (
        "embedded = 'off'\nmodels = 3",
        ["models: must be a table of tables, such as [models.NAME]"],
    ),
    "misspelt callers of an open address": (
        f'listen = "0.0.0.0:1"\ntls_certificate = "c"\ntls_key = "k"\n{CALLER_TABLE.replace("callers", "caller")}',
        ["caller: is not a known key; did you mean callers?"],
    ),
    "a TLS file with the wrong type": (
        f'listen = "0.0.0.0:1"\ntls_certificate = 3\ntls_key = "k"\n{CALLER_TABLE}',
        ["tls_certificate: must be a string"],
    ),
    "a mode that is no mode": (
        '[routes.r]\nmode = "fast"\ndescription = "r"',
        ["routes.r.mode: must be one of passthrough, reasoning, orchestration, auto"],
    ),
    "a rule without a route": (
        '[[rules]]\nid = "a"\nwhen = { models = ["m"] }\nthen = {}',
        ["rules.a.then.route: is missing"],
    ),
    "two callers without tokens": (
        "[callers.a]\n[callers.b]",
        ["callers.a.token_hash: is missing", "callers.b.token_hash: is missing"],
    ),
    "two callers with the same token": (
        f'[callers.a]\ntoken_hash = "{TOKEN_HASH}"\nallowed_models = 3\n[callers.b]\ntoken_hash = "{TOKEN_HASH}"',
        [
            "callers.a.allowed_models: must be a list of strings",
            "callers: two callers have the same token_hash",
        ],
    ),
    "a key that is near nothing": ("color = 'red'", ["color: is not a known key"]),
}


@pytest.mark.parametrize("name", FAULTS)
def test_each_fault_is_reported_once(name: str) -> None:
    """The first reading reports every fault, and no problem that exists only because of another one."""
    text, expected = FAULTS[name]

    assert expect_problems(text) == expected
