"""Sets up logging: JSON lines for machines, short lines for people."""

import json
import logging
import re
import sys
from datetime import UTC, datetime
from typing import Any, Final, TextIO

import msgspec

from reasoning_grpc.config import LogFormat
from reasoning_grpc.telemetry import FactsRecord

_MCP_LOGGERS: Final = ("mcp", "client", "httpx2", "httpcore2")
"""The loggers of the SDK for MCP servers, which logs tool calls and their results."""
_WORD: Final = re.compile(r"[^\s\"'=\x00-\x1f\x7f-\x9f]+")
_CONTROLS: Final = {code: f"\\u{code:04x}" for code in (*range(0x7F, 0xA0), 0x2028, 0x2029)}
"""The characters that JSON leaves as they are, and that a terminal obeys."""
_ENCODER: Final = json.JSONEncoder(default=str, separators=(",", ":"))
_FAST_ENCODER: Final = msgspec.json.Encoder()
_OWN_ATTRIBUTES: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def set_up_logging(level: str, log_format: LogFormat) -> None:
    """Sends every log line to standard error, in this format."""
    handler = _LineHandler(JsonFormatter() if is_json(log_format) else TextFormatter())
    logging.basicConfig(handlers=[handler], level=level.upper(), force=True)
    # At the lowest level only our own code speaks: what other libraries write there may hold anything.
    if level == "debug":
        logging.getLogger().setLevel(logging.INFO)
    logging.getLogger("reasoning_grpc").setLevel(level.upper())
    # Neither format has them, and each line would ask the system for them.
    logging.logProcesses = logging.logThreads = logging.logMultiprocessing = False
    # litellm and the HTTP clients log whole requests at lower levels.
    for name in ("LiteLLM", "LiteLLM Proxy", "LiteLLM Router", "httpx", "httpcore", "openai", *_MCP_LOGGERS):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    # A failed export is logged once, not at each attempt, and a header that cannot be read is not logged at all.
    for name in ("opentelemetry.exporter", "opentelemetry.util.re"):
        logging.getLogger(name).setLevel(logging.ERROR)


def name_worker_in_logs(worker: int) -> None:
    """Adds the number of this worker to every log line that follows."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler.formatter, JsonFormatter | TextFormatter):
            handler.formatter.worker = worker


def is_json(log_format: LogFormat) -> bool:
    """Whether log lines are JSON; AUTO means JSON unless standard error is a terminal."""
    return log_format is LogFormat.JSON or (log_format is LogFormat.AUTO and not sys.stderr.isatty())


def _collect_facts(record: logging.LogRecord) -> dict[str, Any]:
    """Returns the values that the log call passed, as facts or by `extra`."""
    if isinstance(record, FactsRecord):
        return record.facts
    return {key: value for key, value in vars(record).items() if key not in _OWN_ATTRIBUTES}


class _LineHandler(logging.StreamHandler[TextIO]):
    """Writes lines to standard error, which Python flushes at the end of each. It has no filters.

    Every call of the server writes a line, so this takes one step where the base class takes six.
    """

    def __init__(self, formatter: logging.Formatter) -> None:
        super().__init__()
        self.setFormatter(formatter)
        self._format = formatter.format

    def handle(self, record: logging.LogRecord) -> bool:
        """See `logging.Handler.handle`."""
        lock = self.lock
        assert lock is not None
        with lock:
            try:
                self.stream.write(self._format(record) + "\n")
            except Exception:  # such as a formatter's
                self.handleError(record)
        return True

    def flush(self) -> None:
        """Does nothing: see above."""


class JsonFormatter(logging.Formatter):
    """Formats a record as one line with a JSON object, in ASCII."""

    def __init__(self) -> None:
        super().__init__()
        self.worker = 0
        """The number of the worker that logs; 0: the server has none, or its supervisor logs."""
        self._second = (-1, "")
        """The second in which the last record was created, and its text, which most records share."""

    def format(self, record: logging.LogRecord) -> str:
        """See `logging.Formatter.format`."""
        line: dict[str, Any] = {
            "time": self._format_time(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **_collect_facts(record),
        }
        if self.worker:
            line["worker"] = self.worker
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return _encode_plain(line) if isinstance(record, FactsRecord) else _ENCODER.encode(line)

    def _format_time(self, created: float) -> str:
        second, milliseconds = divmod(int(created * 1000), 1000)
        if second != self._second[0]:
            self._second = second, datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")
        return f"{self._second[1]}.{milliseconds:03}+00:00"


def _encode_plain(line: dict[str, Any]) -> str:
    """Encodes a line of plain values in a sixth of the time, unless it has a character that ASCII has not.

    Such characters are escaped, because standard error may have any encoding, and readers that split lines may take
    some of them for the end of a line.
    """
    try:
        encoded = _FAST_ENCODER.encode(line)
    except UnicodeEncodeError:  # half of a surrogate pair
        return _ENCODER.encode(line)
    return encoded.decode() if encoded.isascii() else _ENCODER.encode(line)


class TextFormatter(logging.Formatter):
    """Formats a record as one line for people, with a traceback below it."""

    worker = 0
    """See `JsonFormatter`."""

    def format(self, record: logging.LogRecord) -> str:
        """See `logging.Formatter.format`."""
        time = datetime.fromtimestamp(record.created).astimezone().strftime("%H:%M:%S")
        facts = "".join(f" {key}={_show(value)}" for key, value in _collect_facts(record).items())
        if self.worker:
            facts += f" worker={self.worker}"
        line = f"{time} {record.levelname.lower():7} {record.getMessage()}{facts}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def _show(value: Any) -> str:
    """Returns a value as JSON has it, but a word without its quotes, so that its end can be seen."""
    if isinstance(value, str) and _WORD.fullmatch(value):
        return value
    return json.dumps(value, default=str, ensure_ascii=False).translate(_CONTROLS)
