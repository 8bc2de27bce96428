"""The limit of open files of this process, which bounds its connections."""

import logging
import resource
from typing import Final

_FOR_CALLERS_SHARE: Final = 2
"""One of so many descriptors is left for the connections of callers, and for the process itself."""

logger = logging.getLogger("reasoning_grpc.server")


def raise_descriptor_limit() -> int:
    """Raises the limit of open files as far as the system allows, and returns it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def bound_connections(wanted: int, descriptors: int) -> int:
    """Returns how many connections to upstreams a limit of open files allows, and logs when they are fewer."""
    allowed = max(1, descriptors // _FOR_CALLERS_SHARE)
    if wanted <= allowed:
        return wanted
    logger.warning(
        "the limit of open files allows fewer connections to upstreams",
        extra={"max_upstream_connections": wanted, "open_files": descriptors, "connections": allowed},
    )
    return allowed
