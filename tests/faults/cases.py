"""The forty faults that the server must survive, and the tests that show each, by path and by wire.

Each case has a cell for each RPC with the answer of one model, for the agent, for the classifier, and for the wires. A
cell names tests, or says in a sentence why there is nothing to test. `FILE::TEST` stands for all variants of a test,
and `FILE::TEST[text` for those whose variant contains the text.
"""

from dataclasses import dataclass
from typing import Final

Cell = tuple[str, ...] | str
"""The names of tests, or the reason why there are none."""

_AGENT: Final = "tests/agent/test_upstream_faults.py::test_a_fault_of_the_upstream_ends_the_run"
_CLASSIFIER: Final = "tests/router/test_classifier_faults.py::test_a_fault_of_the_classifiers_upstream_falls_back"
_SPARED: Final = "tests/agent/test_spared_upstreams.py::"
_FALLBACK: Final = "tests/router/test_classifier_faults.py::"
_DECISIONS: Final = "tests/router/test_classifier_answers.py::"
_STATUSES: Final = "tests/litellm_model/test_http_statuses.py::"
_CONNECTIONS: Final = "tests/litellm_model/test_connection_faults.py::"
_STREAMS: Final = "tests/litellm_model/test_broken_streams.py::"
_BODIES: Final = "tests/litellm_model/test_answers_without_stream.py::"
_OTHER_BODIES: Final = "tests/litellm_model/test_whole_answers_of_other_protocols.py::"
_OTHER_ENDS: Final = "tests/litellm_model/test_ends_of_other_protocols.py::"
_RESPONSES: Final = "tests/litellm_model/test_responses_serving.py::test_bodies"
_SLOW: Final = "tests/litellm_model/test_slow_upstreams.py::"
_CANCELS: Final = "tests/rpc/test_cancellation.py::"
_DEADLINE: Final = _CANCELS + "test_a_deadline_ends_the_call"
_SLOW_CLIENTS: Final = "tests/server/test_slow_clients.py::"
_MALFORMED: Final = "tests/rpc/test_malformed_requests.py::"
_LIMITS: Final = "tests/rpc/test_request_limits.py::"
_INVALID: Final = "tests/rpc/test_invalid_fields.py::"
_CHOICES: Final = "tests/rpc/test_invalid_choices.py::"
_UNSUPPORTED: Final = "tests/rpc/test_unsupported_requests.py::"
_CREDENTIALS: Final = "tests/rpc/test_authentication.py::"
_OVERLOAD: Final = "tests/server/test_overload.py::"
_ADMISSION: Final = "tests/server/test_admission.py::"
_QUEUED: Final = _ADMISSION + "test_a_call_whose_deadline_passes_in_the_queue_is_never_sent"
_STOPS: Final = "tests/server/test_stopping.py::"
_DRAIN: Final = "tests/cli/test_drain.py::"
_SIGNALS: Final = "tests/cli/test_signals.py::"
_BUGS: Final = "tests/rpc/test_faults.py::"
_LATE_BUGS: Final = "tests/server/test_bugs.py::test_a_bug_carries_the_progress"
_TOOLS: Final = "tests/agent/test_agent_tools.py::"
_CUT_CALLS: Final = "tests/server/test_cut_calls.py::"

_BEFORE_ROUTING: Final = "The request is refused before its route is decided, so every path refuses it alike."
_NO_UPSTREAM: Final = "No upstream takes part."
_OF_THE_PROCESS: Final = "The fault is one of the process, and not of a call."


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A fault, and the tests that show what it comes to."""

    number: int
    fault: str
    complete: Cell
    stream: Cell
    agent: Cell
    classifier: Cell
    wires: Cell = _NO_UPSTREAM

    @property
    def cells(self) -> dict[str, Cell]:
        """The cells by their name."""
        return {
            "complete": self.complete,
            "stream": self.stream,
            "agent": self.agent,
            "classifier": self.classifier,
            "wires": self.wires,
        }


def _of_upstream(number: int, fault: str, *tests: str, wires: Cell, **cells: Cell) -> Case:
    """Builds a case that the table of upstream faults holds, so agent and classifier meet it as any call does."""
    paths: dict[str, Cell] = {
        "complete": tests,
        "stream": tests,
        "agent": (f"{_AGENT}[{number}-",),
        "classifier": (f"{_CLASSIFIER}[{number}-",),
    }
    return Case(number=number, fault=fault, wires=wires, **{**paths, **cells})


def _of_request(number: int, fault: str, *tests: str) -> Case:
    """Builds a case of a request that is refused before its route is decided."""
    return Case(
        number=number, fault=fault, complete=tests, stream=tests, agent=_BEFORE_ROUTING, classifier=_BEFORE_ROUTING
    )


def _of_process(number: int, fault: str, *tests: str) -> Case:
    """Builds a case of the process as a whole; the first cell has its tests."""
    return Case(
        number=number,
        fault=fault,
        complete=tests,
        stream=_OF_THE_PROCESS,
        agent=_OF_THE_PROCESS,
        classifier=_OF_THE_PROCESS,
    )


UPSTREAM_CASES: Final = (
    _of_upstream(
        1,
        "An HTTP status that is a failure.",
        _STATUSES + "test_http_statuses",
        wires=(_STATUSES + "test_http_statuses",),
    ),
    _of_upstream(
        2,
        "A 429 with any Retry-After.",
        _STATUSES + "test_retry_after_of_a_rate_limit",
        wires=(_STATUSES + "test_retry_after_of_a_rate_limit",),
        stream=(
            _STATUSES + "test_retry_after_of_a_rate_limit",
            _STATUSES + "test_retry_after_of_an_overloaded_upstream[later-than-the-deadline",
        ),
        agent=(
            "tests/agent/test_agent_failures.py::test_a_retry_is_recommended_only_before_tools_ran",
            _SPARED + "test_a_rate_limit_of_another_call_ends_a_run",
        ),
        classifier=(_FALLBACK + "test_a_cooldown_of_the_classifier_falls_back",),
    ),
    _of_upstream(
        3,
        "A refused connection; a host name that does not resolve.",
        _CONNECTIONS + "test_refused_connection",
        _CONNECTIONS + "test_unknown_host",
        wires=(_CONNECTIONS + "test_refused_connection", _CONNECTIONS + "test_unknown_host"),
        agent=("tests/agent/test_upstream_faults.py::test_an_unreachable_upstream_ends_the_run",),
        classifier=("tests/router/test_classifier_failures.py::test_an_unreachable_classifier_falls_back",),
    ),
    _of_upstream(
        4,
        "A connection that is closed at once; a short body; a reset.",
        _CONNECTIONS + "test_closed_on_accept",
        _CONNECTIONS + "test_broken_connection",
        wires=(_CONNECTIONS + "test_closed_on_accept", _CONNECTIONS + "test_broken_connection"),
    ),
    _of_upstream(
        5,
        "Silence before the headers, until the caller's deadline.",
        wires=(_DEADLINE + "[before-headers",),
        complete=(_DEADLINE + "[Complete-before-headers", _SLOW + "test_slow_upstream[hang-after-headers"),
        stream=(_DEADLINE + "[StreamComplete-before-headers", _SLOW + "test_slow_upstream[hang-before-headers"),
        agent=(f"{_AGENT}[5-", "tests/agent/test_deadline.py::test_a_step_that_hangs_is_stopped"),
        classifier=(
            f"{_CLASSIFIER}[5-",
            "tests/router/test_classifier_failures.py::test_the_callers_deadline_leaves_time_to_answer",
        ),
    ),
    _of_upstream(
        6,
        "A body that drips byte by byte.",
        wires=(_SLOW + "test_slow_upstream[drip",),
        complete=(_SLOW + "test_slow_upstream[drip-unary",),
        stream=(_SLOW + "test_slow_upstream[drip-stream",),
    ),
    _of_upstream(
        7,
        "A 200 with malformed JSON, HTML, an empty object, an empty body or an error.",
        _BODIES + "test_success_without_an_answer",
        _BODIES + "test_error_object_in_a_200",
        wires=(_BODIES + "test_error_object_in_a_200", _OTHER_BODIES + "test_success_without_an_answer", _RESPONSES),
    ),
    _of_upstream(
        8,
        "An answer without choices, or without content.",
        _BODIES + "test_stream_of_nothing",
        _BODIES + "test_null_content_with_a_finish_reason",
        wires=(
            _OTHER_BODIES + "test_success_without_an_answer",
            _OTHER_BODIES + "test_whole_answer_instead_of_a_stream",
            _RESPONSES,
        ),
    ),
    _of_upstream(
        9,
        "A body that says more than its status: context window, content policy, quota.",
        _STATUSES + "test_bodies_that_say_more_than_their_status",
        wires=(
            _OTHER_BODIES + "test_http_errors",
            "tests/litellm_model/test_error_bodies.py::test_the_body_decides_before_the_status",
            "tests/litellm_model/test_bedrock_requests.py::test_failed_statuses",
            "tests/litellm_model/test_responses_errors.py::test_codes",
        ),
    ),
    _of_upstream(
        10,
        "A 500 whose text mentions a rate limit.",
        _STATUSES + "test_a_server_error_that_mentions_a_rate_limit",
        wires=(_STATUSES + "test_a_server_error_that_mentions_a_rate_limit",),
    ),
    _of_upstream(
        11,
        "A stream that is cut after some deltas.",
        wires=(
            _OTHER_ENDS + "test_a_cut_stream_is_not_complete",
            "tests/litellm_model/test_responses_table.py::test_a_stream_that_is_cut",
        ),
        complete=(_STREAMS + "test_unary_call_of_a_cut_stream[reset",),
        stream=(_STREAMS + "test_stream_cut_after_three_chunks[reset",),
    ),
    _of_upstream(
        12,
        "A stream that ends cleanly without a finish reason.",
        wires=(
            _OTHER_ENDS + "test_a_cut_stream_is_not_complete[clean-end",
            "tests/litellm_model/test_responses_table.py::test_a_stream_that_is_cut",
        ),
        complete=(_STREAMS + "test_unary_call_of_a_cut_stream[clean-end",),
        stream=(_STREAMS + "test_stream_cut_after_three_chunks[clean-end",),
    ),
    _of_upstream(
        13,
        "`[DONE]` without a finish reason; a finish reason without `[DONE]`.",
        _STREAMS + "test_done_without_a_finish_reason",
        _STREAMS + "test_finish_reason_without_done",
        wires=(_STREAMS + "test_done_without_a_finish_reason", _STREAMS + "test_finish_reason_without_done"),
    ),
    _of_upstream(
        14,
        "A junk line, or an empty event, within a stream.",
        wires=(
            _OTHER_ENDS + "test_malformed_events_are_retried_once",
            "tests/litellm_model/test_bedrock_streams.py::test_damage",
            "tests/litellm_model/test_responses_events.py::test_text_is_never_lost_in_silence",
            _STREAMS + "test_junk_in_a_stream",
        ),
        complete=(_STREAMS + "test_junk_in_the_stream_of_a_unary_call",),
        stream=(_STREAMS + "test_junk_in_a_stream",),
    ),
    _of_upstream(
        15,
        "An error within a stream.",
        wires=(
            "tests/litellm_model/test_reported_errors.py::test_an_error_before_the_first_delta",
            "tests/litellm_model/test_reported_errors.py::test_an_error_after_the_first_delta",
            _OTHER_ENDS + "test_an_error_in_the_middle_of_a_stream",
            "tests/litellm_model/test_bedrock_streams.py::test_an_exception_after_the_first_delta",
            "tests/litellm_model/test_responses_events.py::test_errors_are_reported",
        ),
        complete=(
            _STREAMS + "test_error_object_first_in_a_stream[Complete",
            _STREAMS + "test_error_object_after_three_deltas_of_a_unary_call",
        ),
        stream=(
            _STREAMS + "test_error_object_first_in_a_stream[StreamComplete",
            _STREAMS + "test_error_object_after_three_deltas",
        ),
    ),
    _of_upstream(
        16,
        "Silence after some deltas; comments without end.",
        wires=(
            _SLOW + "test_slow_upstream[comments",
            _CANCELS + "test_cancelling_during_comments_disconnects_the_upstream",
        ),
        complete=(_SLOW + "test_stall_of_a_unary_call", _SLOW + "test_slow_upstream[comments-unary"),
        stream=(_SLOW + "test_stall_after_three_deltas", _SLOW + "test_slow_upstream[comments-stream"),
    ),
    _of_upstream(
        17,
        "Usage that comes late, is missing, null or incomplete.",
        "tests/litellm_model/test_reported_usage.py::test_usage_is_counted_or_estimated",
        wires=(
            "tests/litellm_model/test_usage_of_other_protocols.py::test_usage_is_the_providers",
            "tests/litellm_model/test_bedrock_streams.py::test_usage",
            "tests/litellm_model/test_responses_events.py::test_counts_of_the_last_event",
        ),
        agent=("tests/agent/test_agent.py::test_missing_usage_is_estimated",),
        classifier=(_DECISIONS + "test_missing_usage_of_the_classifier_is_estimated",),
    ),
    _of_upstream(
        18,
        "Reasoning in any field or tag, and tool calls in deltas.",
        "tests/litellm_model/test_kinds_of_content.py::test_reasoning_not_included",
        "tests/litellm_model/test_kinds_of_content.py::test_tool_calls",
        "tests/llm/test_think_tags.py::test_callers_see_reasoning",
        wires=(
            "tests/litellm_model/test_other_protocols.py::test_thinking_becomes_reasoning",
            "tests/litellm_model/test_other_protocols.py::test_tool_calls_arrive_whole",
            "tests/litellm_model/test_responses_events.py::test_events_are_read",
        ),
        agent=(
            "tests/agent/test_native_tools.py::test_native_tool_calls_are_steps",
            "tests/agent/test_agent_reasoning.py::test_reasoning_that_is_not_included_is_counted",
        ),
        classifier=(_DECISIONS + "test_reasoning_before_the_decision_is_left_out",),
    ),
)

CLIENT_CASES: Final = (
    Case(
        number=19,
        fault="A cancel at any moment of a call.",
        complete=(
            _CANCELS + "test_cancelling_a_silent_call_disconnects_the_upstream[Complete",
            _CANCELS + "test_cancelling_a_unary_call_logs_what_it_used",
        ),
        stream=(
            _CANCELS + "test_cancelling_a_silent_call_disconnects_the_upstream[StreamComplete",
            _CANCELS + "test_closing_the_generator_cancels_the_call",
            _CANCELS + "test_a_client_that_does_not_read_can_cancel",
            "tests/telemetry/test_failed_spans.py::test_a_cancelled_call_has_a_complete_trace",
        ),
        agent=(
            "tests/agent/test_agent_cancellation.py::test_cancelling_during_the_first_plan",
            "tests/agent/test_agent_cancellation.py::test_cancelling_during_concurrent_tools",
            "tests/agent/test_agent_cancellation.py::test_cancelling_during_the_answer",
        ),
        classifier=("tests/router/test_classifier_failures.py::test_a_cancel_reaches_the_classifier",),
        wires=(
            _CANCELS + "test_cancelling_a_silent_call_disconnects_the_upstream",
            _CANCELS + "test_a_client_that_does_not_read_can_cancel",
            "tests/litellm_model/test_upstream_session.py::test_a_cancelled_request_closes_its_connection",
        ),
    ),
    Case(
        number=20,
        fault="A client that stops reading, is killed, or freezes.",
        complete=(
            _SLOW_CLIENTS + "test_a_killed_client_is_noticed[unary",
            _SLOW_CLIENTS + "test_a_frozen_client_is_noticed[unary",
        ),
        stream=(
            _SLOW_CLIENTS + "test_a_client_that_stops_reading_is_given_up",
            _SLOW_CLIENTS + "test_a_killed_client_is_noticed[stream",
            _SLOW_CLIENTS + "test_a_frozen_client_is_noticed[stream",
        ),
        agent=(
            _SLOW_CLIENTS + "test_a_killed_client_is_noticed[agent",
            _SLOW_CLIENTS + "test_a_frozen_client_is_noticed[agent",
        ),
        classifier="Nothing is written before the decision, and a client that leaves then is a cancel, case 19.",
        wires="The client's connection does not depend on the wire; case 19 has the end of the upstream's.",
    ),
    Case(
        number=21,
        fault="A client that stops reading a stream of 30 MB.",
        complete="A unary answer is one message, of which the limits of an answer bound the size.",
        stream=(_SLOW_CLIENTS + "test_a_client_that_stops_reading_is_given_up",),
        agent="Its events go through the same write and its timer.",
        classifier="Nothing is written before the decision.",
        wires=(
            _CANCELS + "test_a_client_that_does_not_read_can_cancel",
            "tests/litellm_model/test_upstream_session.py::test_chunks_of_any_size_and_number_arrive_whole",
        ),
    ),
    _of_request(
        22,
        "Garbage, invalid UTF-8, JSON that is nested 5000 deep.",
        _MALFORMED + "test_bytes_that_are_no_protobuf_are_malformed",
        _LIMITS + "test_a_field_above_a_limit_is_too_large[5000",
    ),
    _of_request(
        23,
        "A message over our limit and over gRPC's; a gzip bomb; 20 KB of metadata.",
        _LIMITS + "test_a_message_above_our_limit_is_too_large",
        _LIMITS + "test_a_message_above_the_limit_of_grpc_is_refused_by_grpc",
        _LIMITS + "test_metadata_of_20_kb_is_refused_by_grpc",
        _LIMITS + "test_metadata_within_the_limit_is_always_accepted",
    ),
    _of_request(
        24,
        "Fields that are empty, out of range or too many.",
        _INVALID + "test_an_invalid_field_is_named",
        _INVALID + "test_all_invalid_fields_are_named_at_once",
        _MALFORMED + "test_a_number_above_32_bits_is_out_of_range",
        _LIMITS + "test_a_field_above_a_limit_is_too_large",
        _LIMITS + "test_each_limit_is_an_option",
    ),
    _of_request(
        25,
        "Unknown enum numbers, unset oneofs, unknown fields.",
        _CHOICES + "test_an_unknown_enum_number_is_invalid",
        _CHOICES + "test_an_unset_oneof_is_invalid",
        _MALFORMED + "test_unknown_fields_are_ignored",
    ),
    _of_request(
        26,
        "Names of models that are paths, URLs, too long, or break a line.",
        _UNSUPPORTED + "test_an_unknown_model_is_not_found",
        _UNSUPPORTED + "test_an_unknown_name_is_printed_safely",
        _UNSUPPORTED + "test_every_method_refuses_unknown_models",
    ),
    _of_request(
        27,
        "No token, a wrong one, one of a megabyte, two headers.",
        _CREDENTIALS + "test_without_a_valid_token_nothing_is_served",
        _CREDENTIALS + "test_a_token_of_a_megabyte_is_refused_by_grpc",
        _CREDENTIALS + "test_a_token_is_found_among_many",
        _CREDENTIALS + "test_no_token_is_in_a_log_a_status_or_on_the_wire",
    ),
)

SERVER_CASES: Final = (
    Case(
        number=28,
        fault="SIGTERM while idle, with calls, and with an open watch.",
        complete=(
            _DRAIN + "test_sigterm_lets_calls_of_every_kind_end",
            _DRAIN + "test_sigterm_serves_on_for_the_delay",
            _CUT_CALLS + "test_a_unary_call_that_is_cut_reports_what_it_used",
        ),
        stream=(
            _DRAIN + "test_sigterm_lets_calls_of_every_kind_end",
            _DRAIN + "test_a_signal_cuts_what_outlasts_the_grace[SIGTERM",
            _STOPS + "test_an_open_watch_does_not_delay_the_stop",
        ),
        agent=(_DRAIN + "test_sigterm_lets_calls_of_every_kind_end",),
        classifier=(_CUT_CALLS + "test_a_classification_that_is_cut",),
    ),
    _of_process(
        29,
        "A second signal; SIGINT.",
        _DRAIN + "test_sigterm_serves_on_for_the_delay",
        _DRAIN + "test_a_signal_of_a_terminal_has_no_delay",
        _SIGNALS + "test_a_second_signal_ends_the_server_at_once",
        _SIGNALS + "test_sigint_ends_an_idle_server",
        _SIGNALS + "test_a_signal_lets_a_stream_end",
        _DRAIN + "test_a_signal_cuts_what_outlasts_the_grace[SIGINT",
    ),
    Case(
        number=30,
        fault="Five times the calls that the server can serve.",
        complete=(
            _OVERLOAD + "test_five_times_the_capacity_is_refused_early",
            _ADMISSION + "test_a_burst_on_one_connection_leaves_no_call_without_a_reason",
        ),
        stream=(
            _OVERLOAD + "test_five_times_the_capacity_is_refused_early",
            _ADMISSION + "test_a_full_server_refuses_every_method",
        ),
        agent=(
            _SPARED + "test_a_run_is_refused_by_a_full_server",
            _SPARED + "test_a_run_is_refused_by_a_full_upstream",
        ),
        classifier=(
            _FALLBACK + "test_a_full_server_does_not_classify",
            _FALLBACK + "test_a_busy_upstream_of_the_classifier_falls_back",
        ),
        wires="Admission and the bound of an upstream stand before the wire.",
    ),
    Case(
        number=31,
        fault="A deadline that passes in a queue.",
        complete=(
            _QUEUED + "[passthrough-Complete",
            "tests/server/test_failing_upstreams.py::test_a_call_whose_deadline_passes_while_it_waits_for_the_bound_is_never_sent",
        ),
        stream=(_QUEUED + "[passthrough-StreamComplete",),
        agent=(_QUEUED + "[agent",),
        classifier=(_QUEUED + "[classifier",),
        wires="Both queues stand before the wire.",
    ),
    Case(
        number=32,
        fault="A bug of the server that raises an exception.",
        complete=(
            _BUGS + "test_a_bug_of_the_server_is_internal",
            _BUGS + "test_a_bug_does_not_stop_the_server",
            f"{_LATE_BUGS}[passthrough-Complete",
        ),
        stream=(
            _BUGS + "test_a_bug_of_the_server_is_internal",
            _BUGS + "test_a_bug_during_a_stream_is_internal",
            f"{_LATE_BUGS}[passthrough-StreamComplete",
        ),
        agent=(f"{_LATE_BUGS}[agent-",),
        classifier=(f"{_LATE_BUGS}[classifier-",),
    ),
    Case(
        number=33,
        fault="An answer of the classifier that is no decision.",
        complete="No classifier takes part.",
        stream="No classifier takes part.",
        agent="A plan that cannot be read is its own case: tests/agent/test_agent_failures.py.",
        classifier=(
            _DECISIONS + "test_a_bad_answer_falls_back",
            _DECISIONS + "test_one_outer_fence_is_taken_off",
            _DECISIONS + "test_a_repaired_answer_decides",
        ),
        wires="The answer is read after the wire, as text.",
    ),
    _of_process(
        34,
        "Health: every name, an unknown one, and watches.",
        "tests/server/test_health.py::test_a_warm_server_is_serving_under_every_name",
        "tests/server/test_health.py::test_an_unknown_name_has_no_health_status",
        "tests/server/test_health.py::test_the_server_is_not_serving_until_it_is_warm",
        "tests/server/test_reflection.py::test_health_and_reflection_need_no_token",
    ),
    _of_process(
        35,
        "Reflection, on and off.",
        "tests/server/test_reflection.py::test_reflection_lists_the_services",
        "tests/server/test_reflection.py::test_reflection_can_be_turned_off",
    ),
    _of_process(
        36,
        "ListModels with an upstream down, all down, none ever reached.",
        "tests/catalog/test_proxy_failures.py::test_a_proxy_that_never_listed_anything",
        "tests/catalog/test_proxy_failures.py::test_a_last_good_list_is_kept",
        "tests/catalog/test_proxy_failures.py::test_without_any_list_calls_are_unavailable",
        "tests/server/test_failing_upstreams.py::test_calls_stay_away_from_an_upstream_that_is_down",
    ),
    _of_process(
        37,
        "A start without a network.",
        "tests/server/test_offline.py::test_the_server_connects_only_to_loopback",
    ),
    Case(
        number=38,
        fault="A thousand calls with random deadlines.",
        complete=(
            _OVERLOAD + "test_a_thousand_random_deadlines_leave_nothing_behind",
            _CANCELS + "test_many_deadlines_do_not_exceed_the_pool",
        ),
        stream=(_OVERLOAD + "test_a_thousand_random_deadlines_leave_nothing_behind",),
        agent=(_OVERLOAD + "test_a_thousand_random_deadlines_leave_nothing_behind",),
        classifier=(_OVERLOAD + "test_a_thousand_random_deadlines_leave_nothing_behind",),
        wires=(
            _DEADLINE,
            "tests/litellm_model/test_upstream_session.py::test_a_cancelled_request_closes_its_connection",
        ),
    ),
    _of_process(
        39,
        "A port in use, a bad configuration, a missing key.",
        "tests/server/test_listener.py::test_a_port_in_use_is_a_start_error",
        "tests/cli/test_serve.py::test_a_server_that_cannot_start_reports_why",
        "tests/server/test_config_check.py::test_a_configuration_that_cannot_be_served_is_refused",
    ),
    Case(
        number=40,
        fault="A tool that is unknown, gets bad arguments, raises, hangs, or returns too much or no text.",
        complete="Only the agent runs tools.",
        stream="Only the agent runs tools.",
        agent=(
            _TOOLS + "test_each_end_of_a_tool_call",
            _TOOLS + "test_a_plan_with_an_unknown_tool_is_repaired",
            _TOOLS + "test_a_huge_result_is_cut",
            _TOOLS + "test_bad_native_calls_are_results",
        ),
        classifier="Only the agent runs tools.",
        wires="A tool runs after the wire, from the calls that case 18 reads on each wire.",
    ),
)

CASES: Final[tuple[Case, ...]] = (*UPSTREAM_CASES, *CLIENT_CASES, *SERVER_CASES)
