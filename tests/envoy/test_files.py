"""What the configurations of Envoy have in common, and what none of them may have."""

import re
from typing import Final

import pytest

from scripts.pages import ROOT, find_blocks
from tests.support.envoy import (
    FOLDER,
    Settings,
    find_cluster,
    find_listener,
    find_manager,
    list_routes,
    read_settings,
)

FILES: Final = sorted(file.name for file in FOLDER.glob("*.yaml"))


def reduce_to_grpc(settings: Settings) -> Settings:
    """Takes away from the configuration with the HTTP face what it has beyond the other one."""
    manager = find_manager(settings)
    find_listener(settings)["address"]["socket_address"]["port_value"] = 50050
    manager["codec_type"] = "HTTP2"
    del manager["local_reply_config"]
    manager["http_filters"] = manager["http_filters"][-1:]
    (host,) = manager["route_config"]["virtual_hosts"]
    del host["typed_per_filter_config"]
    for route in list_routes(settings):
        if "retry_policy" in route.get("route", {}):
            route["match"]["grpc"] = {}
    return settings


def test_the_http_face_is_the_other_file_with_more_filters() -> None:
    """What holds for one file holds for the other: health, retries, bounds, timers."""
    assert reduce_to_grpc(read_settings("http.yaml")) == read_settings("envoy.yaml")


@pytest.mark.parametrize("name", FILES)
def test_no_timer_of_envoy_ends_an_answer(name: str) -> None:
    """What would cut a long or a silent answer is switched off, where Envoy's default is 15 seconds or 5 minutes."""
    settings = read_settings(name)
    routes = [route["route"] for route in list_routes(settings) if "route" in route]
    manager = find_manager(settings)

    assert manager["stream_idle_timeout"] == "0s"
    assert [route["timeout"] for route in routes] == ["0s"] * len(routes)
    assert [route for route in routes if "per_try_timeout" in route.get("retry_policy", {})] == []
    assert "max_stream_duration" not in manager["common_http_protocol_options"]
    assert "close_connections_on_host_health_failure" not in find_cluster(settings)


@pytest.mark.parametrize("name", FILES)
def test_a_thousand_answers_that_wait_leave_room_on_a_connection(name: str) -> None:
    """Envoy opens another connection to a server for the 1025th stream, and until then the windows do not fill it."""
    (protocol,) = find_cluster(read_settings(name))["typed_extension_protocol_options"].values()
    options = protocol["explicit_http_config"]["http2_protocol_options"]

    assert options["initial_connection_window_size"] >= 1024 * options["initial_stream_window_size"]


@pytest.mark.parametrize("name", FILES)
def test_a_call_that_calls_a_model_first_is_not_sent_again_after_a_reset(name: str) -> None:
    """Only Classify calls a model before its headers leave, and so has a rule of its own."""
    policies = {
        next(iter(route["match"].values())): set(route["route"]["retry_policy"]["retry_on"].split(","))
        for route in list_routes(read_settings(name))
        if "retry_policy" in route.get("route", {})
    }

    common = {"connect-failure", "refused-stream", "unavailable"}
    assert policies == {
        "/reasoning_grpc.v1.ReasoningService/Classify": common | {"reset-before-request"},
        "/reasoning_grpc.v1.ReasoningService/": common | {"reset"},
    }


def test_the_page_calls_every_method() -> None:
    """The commands of docs/envoy.md, which other tests run, show each of the four methods."""
    blocks = find_blocks(ROOT.joinpath("docs", "envoy.md").read_text(), "sh")

    called = {method for block in blocks for method in re.findall(r"Service/(\w+)$", block.text, re.MULTILINE)}

    assert called == {"Complete", "StreamComplete", "Classify", "ListModels"}
