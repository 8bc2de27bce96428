"""How log lines look: JSON for machines, one short line for people."""

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any, Final

from reasoning_grpc.config import LogFormat

_OF_MCP: Final = ("mcp", "client", "httpx2", "httpcore2")
"""Of the SDK for MCP servers, which logs the calls of tools, and what they give."""
_OWN_ATTRIBUTES: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def set_up_logging(level: str, log_format: LogFormat) -> None:
    """Sends every log line to standard error, in the format asked for."""
    as_json = log_format is LogFormat.JSON or (log_format is LogFormat.AUTO and not sys.stderr.isatty())
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter() if as_json else TextFormatter())
    logging.basicConfig(handlers=[handler], level=level.upper(), force=True)
    # litellm logs requests at these levels, bodies included.
    for name in ("LiteLLM", "LiteLLM Proxy", "LiteLLM Router", "httpx", "httpcore", "openai", *_OF_MCP):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    # One line for each export that fails, not one for each time it is tried; none with a header that cannot be read.
    for name in ("opentelemetry.exporter", "opentelemetry.util.re"):
        logging.getLogger(name).setLevel(logging.ERROR)


def _facts(record: logging.LogRecord) -> dict[str, Any]:
    """What the line was given by `extra`."""
    return {key: value for key, value in vars(record).items() if key not in _OWN_ATTRIBUTES}


class JsonFormatter(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """See logging."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **_facts(record),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


class TextFormatter(logging.Formatter):
    """One line for people; a traceback below it."""

    def format(self, record: logging.LogRecord) -> str:
        """See logging."""
        when = datetime.fromtimestamp(record.created).astimezone().strftime("%H:%M:%S")
        facts = "".join(f" {key}={value}" for key, value in _facts(record).items())
        line = f"{when} {record.levelname.lower():7} {record.getMessage()}{facts}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line
