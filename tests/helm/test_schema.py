"""The chart refuses values that it does not know, that have a wrong type, or that do not go together."""

from typing import Any

import pytest

from scripts.chart import ChartError
from tests.support.chart import render

pytestmark = [pytest.mark.helm]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        pytest.param({"replica": 3}, "replica", id="an unknown value"),
        pytest.param({"image": {"name": "x"}}, "name", id="an unknown value within another"),
        pytest.param({"replicas": "3"}, "replicas", id="a text in place of a number"),
        pytest.param({"replicas": 0}, "replicas", id="no server"),
        pytest.param({"replicas": 1.5}, "replicas", id="half a server"),
        pytest.param({"ipFamily": "ipv6"}, "ipFamily", id="an unknown choice"),
        pytest.param({"image": {"digest": "sha256:12"}}, "digest", id="half a digest"),
        pytest.param({"drain": {"marginSeconds": 4}}, "marginSeconds", id="too short a margin"),
        pytest.param({"rollingUpdate": {"maxSurge": 0}}, "maxSurge", id="an update that cannot begin"),
        pytest.param({"secretEnv": {"OPENAI-KEY": "x"}}, "OPENAI-KEY", id="a name that no variable has"),
        pytest.param({"extraEnv": [{"name": "A", "val": "b"}]}, "val", id="an unknown key of a variable"),
        pytest.param({"litellmProxy": {"url": "litellm:4000"}}, "url", id="an address without a scheme"),
        pytest.param({"tls": {"secret": "My_Secret"}}, "secret", id="a name that no Secret has"),
        pytest.param({"service": {"port": 70000}}, "port", id="a port that there is not"),
        pytest.param({"resources": {"limits": {"memory": "1 GB"}}}, "memory", id="no quantity"),
        pytest.param({"fullnameOverride": "a" * 60}, "fullnameOverride", id="a name that leaves no room"),
    ],
)
def test_a_wrong_value_is_refused(values: dict[str, Any], said: str) -> None:
    """The message names the value."""
    with pytest.raises(ChartError, match=said):
        render(values)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        pytest.param(
            {"config": 'embedded = "on"\ngrace_seconds = 60\n'},
            r"config: grace_seconds is set by the value drain\.graceSeconds, not here",
            id="an option that the chart sets",
        ),
        pytest.param(
            {"config": 'listen = "[::]:1"'}, r"config: listen is set by the chart, not here", id="its own option"
        ),
        pytest.param(
            {"extraEnv": [{"name": "REASONING_LISTEN", "value": "127.0.0.1:1"}]},
            "extraEnv: REASONING_LISTEN is set already",
            id="a variable that the chart sets",
        ),
        pytest.param(
            {"extraEnv": [{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]},
            "extraEnv: A is set already",
            id="a variable that is set twice",
        ),
        pytest.param(
            {"tls": {"clientCA": {"secret": "clients"}}},
            r"tls\.clientCA\.secret: needs tls\.secret",
            id="certificates of clients without TLS",
        ),
        pytest.param(
            {"envoy": {"enabled": True}, "tls": {"secret": "tls", "clientCA": {"secret": "clients"}}},
            r"envoy\.enabled: Envoy ends TLS",
            id="certificates of clients behind Envoy",
        ),
        pytest.param(
            {"envoy": {"enabled": True}, "tls": {"secret": "tls"}},
            r"tls\.serverName: is needed",
            id="servers without a name behind Envoy",
        ),
        pytest.param(
            {"autoscaling": {"enabled": True, "minReplicas": 5, "maxReplicas": 4}},
            r"autoscaling\.maxReplicas: is less",
            id="fewer servers than the fewest",
        ),
        pytest.param(
            {"autoscaling": {"enabled": True, "callsInFlight": 0, "cpuPercent": 0}},
            r"autoscaling\.enabled: needs",
            id="an autoscaler without a reason",
        ),
    ],
)
def test_values_that_do_not_go_together_are_refused(values: dict[str, Any], said: str) -> None:
    """The message names the value, and says what is wrong."""
    with pytest.raises(ChartError, match=said):
        render(values)
