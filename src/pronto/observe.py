"""Logs: structured lines without tokens and prompts. Knows nothing of requests; everybody above may log."""

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any, cast

import structlog

_SECRET = re.compile(
    r"hf_\w+|gw[soi]_\w+|(?i:bearer)\s+\S+|(?i:set-cookie|cookie|password|code|state)=\S+",
)


def redact(text: str) -> str:
    """Replace what looks like a secret, and make line breaks visible so that one event stays one line."""
    return _SECRET.sub("[redacted]", text).replace("\r", "\\r").replace("\n", "\\n")


def _redactor(_logger: Any, _name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for key, value in event.items():
        if isinstance(value, str):
            event[key] = redact(value)
    return event


class _StandardRedactor(logging.Filter):
    """The same for libraries that log through the standard module."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = redact(record.getMessage()), ()
        return True


def configure_logging(level: str = "info", format: str = "auto") -> None:
    """Log to standard error: `console` lines, `json` objects, or `auto` by whether somebody looks at a terminal."""
    as_console = format == "console" or (format == "auto" and sys.stderr.isatty())
    renderer: Any = (
        structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
        if as_console
        else structlog.processors.JSONRenderer()
    )
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            _redactor,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(_StandardRedactor())
    logging.basicConfig(level=max(logging.WARNING, getattr(logging, level.upper())), handlers=[handler], force=True)


def logger(room: str) -> structlog.typing.FilteringBoundLogger:
    """A logger that names its room in every line."""
    return cast("structlog.typing.FilteringBoundLogger", structlog.get_logger(room=room))
