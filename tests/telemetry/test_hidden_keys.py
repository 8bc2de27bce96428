"""Keys of callers and of the server are shown nowhere."""

import json
import logging
from collections.abc import Iterable, Iterator

import pytest

from tests.support.agent import PRICES
from tests.support.callers_keys import (
    ALICE,
    BOB,
    KEYS,
    PROVIDERS,
    build_callers,
    build_entry,
    expect_failed_call,
    find_keys,
    make_call,
)
from tests.support.otlp import OtlpReceiver
from tests.support.serving import UPSTREAM_KEY, config_for
from tests.support.spans import COMPLETE, STREAM_COMPLETE, Tracing
from tests.support.upstream import FakeUpstream


async def test_no_key_is_shown(
    upstream: FakeUpstream,
    tracing: Tracing,
    receiver: OtlpReceiver,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """No log, span, error, output or repr holds a key, also when the upstream repeats the key in its refusal."""
    caplog.set_level(logging.DEBUG)
    entries = [build_entry(upstream, provider, provider, prices=PRICES) for provider in PROVIDERS]
    callers = build_callers(alice={entry.name: ALICE for entry in entries}, bob={"openai/*": BOB})
    config = config_for(*entries, callers=callers)
    failures = []
    async with tracing(config) as running:
        for entry in entries:
            for caller in ("alice", "bob", "eve"):
                for rpc in ("Complete", "StreamComplete"):
                    await make_call(running, caller, rpc, model=entry.name)
                    upstream.fail(401, message=f"Incorrect API key provided: {ALICE}, {UPSTREAM_KEY}")
                    failures.append(await expect_failed_call(running, caller, rpc, model=entry.name))
        await receiver.expect_spans(COMPLETE, 6 * len(entries))
        await receiver.expect_spans(STREAM_COMPLETE, 6 * len(entries))

    shown = [*list_texts(caplog.records), *map(repr, failures), *(repr(each.__cause__) for each in failures)]
    shown += [str(each.metadata) + json.dumps(each.message) for each in failures]
    shown += [repr(config), *capfd.readouterr(), b"".join(receiver.raw).decode("latin-1")]
    assert sum(len(each) for each in find_keys(upstream.requests)) == len(upstream.requests)
    assert [key for key in KEYS for text in shown if key in text] == []


def list_texts(records: Iterable[logging.LogRecord]) -> Iterator[str]:
    """Yields everything that log records hold."""
    for record in records:
        yield record.getMessage()
        yield repr(vars(record))
