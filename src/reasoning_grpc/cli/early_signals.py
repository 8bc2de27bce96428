"""`end_by_early_signals`: lets signals end a command from its first moment on.

The first process of a container is process 1, for which Linux drops every signal that has no handler. Without these
handlers, a SIGTERM that comes while Python imports the command would be lost, and the container would be killed later.
This module imports next to nothing, so that the handlers come first.
"""

import os
import signal
from types import FrameType
from typing import Final

_ENDS_SERVER: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)
_ENDS_CLIENT: Final = (signal.SIGTERM, signal.SIGHUP)


def end_by_early_signals(*, is_server: bool) -> None:
    """Lets signals end this process until the command handles them itself. Call it on the main thread.

    A server that has not begun has nothing to drain, and exits with 0. Another command exits as shells count signals:
    with 143 after SIGTERM. A signal that the process was started to ignore stays ignored, except that SIGTERM always
    ends a server.
    """
    for number in _ENDS_SERVER if is_server else _ENDS_CLIENT:
        is_ignored = signal.getsignal(number) is signal.SIG_IGN
        if not is_ignored or (is_server and number is signal.SIGTERM):
            signal.signal(number, _end_server if is_server else _end_client)


def _end_server(_number: int, _frame: FrameType | None) -> None:
    os._exit(0)


def _end_client(number: int, _frame: FrameType | None) -> None:
    os._exit(128 + number)
