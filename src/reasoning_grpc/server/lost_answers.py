"""`expect_lost_answers`: keeps an answer whose client has left from being logged as an error."""

import logging
from typing import Final

from grpc._cython import cygrpc  # type: ignore[attr-defined]

_GRPC_LOGGER: Final = "grpc._cython.cygrpc"

logger = logging.getLogger("reasoning_grpc.server")


class _LostAnswers(logging.Filter):
    """Lets every record pass but those of answers that could not be sent."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Returns whether the record is to be logged, as `logging` wants it."""
        if not record.exc_info or not isinstance(record.exc_info[1], cygrpc.ExecuteBatchError):
            return True
        logger.debug("a client had left before its answer was sent")
        return False


_FILTER: Final = _LostAnswers()


def expect_lost_answers() -> None:
    """Logs an answer that could not be sent at the debug level, in the whole process.

    The answer of a unary call is sent by grpc.aio, after its handler has returned. If the client cancels the call in
    this moment, grpc.aio logs an error with a traceback (grpcio 1.85.1, `_cython/_cygrpc/aio/server.pyx.pxi`,
    `_handle_exceptions`). It is nobody's error, and nothing can be done about it.
    """
    logging.getLogger(_GRPC_LOGGER).addFilter(_FILTER)  # once, however often it is called
