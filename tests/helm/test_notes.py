"""What the operator reads after the installation leads to Services that are there, and warns of what is open."""

import re

import pytest

from scripts.chart import render_texts
from tests.support.chart import ON, OPTIONS, Tree, merge, render

pytestmark = [pytest.mark.helm]


@pytest.mark.parametrize("values", [{}, ON, {"service": {"port": 443}}], ids=["default", "on", "a port"])
def test_the_addresses_lead_to_services(values: Tree) -> None:
    """Each address has the name of a Service, its namespace and one of its ports."""
    services = {item["metadata"]["name"]: item for item in render(values).values() if item["kind"] == "Service"}

    named = re.findall(r"([a-z-]+)\.models:(\d+)", render_texts(values)["NOTES.txt"])

    assert named
    for name, port in named:
        assert int(port) in {each["port"] for each in services[name]["spec"]["ports"]}


def test_what_is_open_is_said() -> None:
    """The notes warn where calls are not encrypted, and where servers share no key; and say nothing where they do."""
    safe = merge(OPTIONS["client certificates"], OPTIONS["pause keys"])

    assert "Calls are not encrypted" in render_texts({})["NOTES.txt"]
    assert "Set pauseKeys.secret." in render_texts({})["NOTES.txt"]
    assert "encrypted" not in render_texts(safe)["NOTES.txt"]
    assert "pauseKeys" not in render_texts(safe)["NOTES.txt"]
