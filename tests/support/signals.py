"""The signals that the processes of a test react to, however the test run itself was started."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

ENDING_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)


@contextmanager
def default_signals_in_children() -> Iterator[None]:
    """Gives child processes the default action of each signal that this process ignores.

    A test run that a script starts with `&`, or `nohup`, ignores SIGINT or SIGHUP, and so would every process that it
    starts. A handler is not inherited: a signal that has one gets its default action in a new program. A handler that
    does nothing therefore leaves this process as it was, and frees its children. Call it on the main thread.
    """
    ignored = [number for number in ENDING_SIGNALS if signal.getsignal(number) is signal.SIG_IGN]
    for number in ignored:
        signal.signal(number, lambda *_: None)
    try:
        yield
    finally:
        for number in ignored:
            signal.signal(number, signal.SIG_IGN)
