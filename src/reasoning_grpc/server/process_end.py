"""`end_process`: ends a process of the server."""

import logging
import os
import sys
from contextlib import suppress
from typing import NoReturn


def end_process(code: int) -> NoReturn:
    """Ends the process without waiting for its threads: one may import litellm, or look up a name, for seconds.

    Everything but the connections of clients is closed by then, and telemetry is exported. Call it while the event loop
    still runs: a server whose connections stay open cannot be collected after it.
    """
    logging.shutdown()
    with suppress(BrokenPipeError):
        sys.stdout.flush()
    os._exit(code)
