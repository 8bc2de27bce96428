"""An answer may repeat itself: tables and code have hundreds of equal chunks."""

from typing import Final

from reasoning_grpc.v1 import completion_pb2
from tests.support.checked_server import BOTH_RPCS, EVERY_PROTOCOL, CheckedServer
from tests.support.upstream import FakeUpstream

CHUNKS: Final = 300
"""By itself, litellm ends an answer with over a hundred equal chunks."""


@EVERY_PROTOCOL
@BOTH_RPCS
async def test_equal_chunks_are_an_answer(upstream: FakeUpstream, checked_server: CheckedServer, rpc: str) -> None:
    """Hundreds of equal chunks in a row arrive whole, and the call succeeds."""
    upstream.reply(*["same "] * CHUNKS)

    answer = await checked_server.answer(rpc)

    assert answer.text == "same " * CHUNKS
    assert answer.end.finish_reason == completion_pb2.FINISH_REASON_STOP
