"""Sets up logging: JSON lines for machines, short lines for people."""

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any, Final

from reasoning_grpc.config import LogFormat

_MCP_LOGGERS: Final = ("mcp", "client", "httpx2", "httpcore2")
"""The loggers of the SDK for MCP servers, which logs tool calls and their results."""
_ENCODER: Final = json.JSONEncoder(default=str)
_OWN_ATTRIBUTES: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def set_up_logging(level: str, log_format: LogFormat) -> None:
    """Sends every log line to standard error, in this format."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter() if is_json(log_format) else TextFormatter())
    logging.basicConfig(handlers=[handler], level=level.upper(), force=True)
    # Neither format has them, and each line would ask the system for them.
    logging.logProcesses = logging.logThreads = logging.logMultiprocessing = False
    # litellm and the HTTP clients log whole requests at lower levels.
    for name in ("LiteLLM", "LiteLLM Proxy", "LiteLLM Router", "httpx", "httpcore", "openai", *_MCP_LOGGERS):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    # A failed export is logged once, not at each attempt, and a header that cannot be read is not logged at all.
    for name in ("opentelemetry.exporter", "opentelemetry.util.re"):
        logging.getLogger(name).setLevel(logging.ERROR)


def is_json(log_format: LogFormat) -> bool:
    """Whether log lines are JSON; AUTO means JSON unless standard error is a terminal."""
    return log_format is LogFormat.JSON or (log_format is LogFormat.AUTO and not sys.stderr.isatty())


def _collect_extra(record: logging.LogRecord) -> dict[str, Any]:
    """Returns the values that the log call passed by `extra`."""
    return {key: value for key, value in vars(record).items() if key not in _OWN_ATTRIBUTES}


class JsonFormatter(logging.Formatter):
    """Formats a record as one line with a JSON object."""

    def format(self, record: logging.LogRecord) -> str:
        """See `logging.Formatter.format`."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **_collect_extra(record),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return _ENCODER.encode(line)


class TextFormatter(logging.Formatter):
    """Formats a record as one line for people, with a traceback below it."""

    def format(self, record: logging.LogRecord) -> str:
        """See `logging.Formatter.format`."""
        time = datetime.fromtimestamp(record.created).astimezone().strftime("%H:%M:%S")
        facts = "".join(f" {key}={value}" for key, value in _collect_extra(record).items())
        line = f"{time} {record.levelname.lower():7} {record.getMessage()}{facts}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line
