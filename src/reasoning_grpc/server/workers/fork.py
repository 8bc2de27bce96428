"""`fork_process`: forks a process that shares nothing with the event loop of this one."""

import logging
import os
import signal
import sys
from collections.abc import Callable, Iterable
from typing import Final, NoReturn

from reasoning_grpc.server.process_end import end_process

_QUIET_SIGNALS: Final = (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)
"""The signals that may reach all processes of a terminal or of a service: only the supervisor acts on them."""

logger = logging.getLogger("reasoning_grpc.server")


def fork_process(run: Callable[[], NoReturn], *, without: Iterable[int]) -> int:
    """Forks a process that runs `run`, and returns its id.

    Call it while no event loop runs. The new process does not have the descriptors `without`, which tell others by
    their end that this process lives. SIGTERM ends it, until it has a handler of its own.
    """
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    # A signal that came between the fork and the reset would reach the event loop of the old process, whose wake-up
    # descriptor both have at that moment.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    process_id = os.fork()
    if process_id:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        return process_id
    try:
        _leave_event_loop(without)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        run()
    except BaseException:
        logger.exception("a worker ended by a failure")
    finally:
        end_process(1)


def _leave_event_loop(without: Iterable[int]) -> None:
    """Takes the signals and the descriptors of the old process away from the new one.

    The old event loop itself must not be closed here: what it watches is watched for both processes.
    """
    signal.set_wakeup_fd(-1)
    for number in _QUIET_SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            # A handler that does nothing: unlike a signal that is ignored, it is not passed on to programs that the
            # worker starts, such as MCP servers.
            signal.signal(number, lambda *_: None)
    for number in (signal.SIGTERM, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in without:
        os.dup2(nothing, descriptor, inheritable=False)  # the number stays taken, because old objects still have it
    os.close(nothing)
