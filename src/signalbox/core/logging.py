"""Structured logs: one JSON object a line where a machine reads, coloured text where a person does.

Secrets never reach the log: values under telling keys, and anything that looks like a token, are masked.
"""

import logging
import logging.handlers
import re
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import structlog
from pydantic import BaseModel, ConfigDict, Field

MASK = "********"

_TELLING = r"password|passwd|secret|token(?!_lifetime)|authorization|cookie|api[-_]?key|subscription-key"
_SECRET_KEY = re.compile(rf"{_TELLING}|(?:^|[._-])key(?:$|\.)|database_url", re.IGNORECASE)
_SECRET_TEXT = re.compile(
    r"sbx_[A-Za-z0-9_-]{8,}|eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*"
    r"|(?<=://)(?:[^\s/@:]*:[^\s/]+|[^\s/@:?#]+)(?=@)"
)
_SECRET_QUERY = re.compile(
    rf"([?&](?:[^\s=&#]{{0,50}}(?:{_TELLING})[^\s=&#]{{0,50}}|(?:[^\s=&#]{{0,50}}[._-])?key|sig|signature)=)"
    r"[^\s&#\"'<>\\]+",
    re.IGNORECASE,
)
_UNFINISHED = "ASGI callable returned without completing response."


class LogSettings(BaseModel):
    """Settings under ``[log]``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "json", "console"] = "auto"
    """``auto``: console on a terminal, else JSON."""
    file: Path | None = None
    """Also write JSON lines here, besides stdout."""
    file_bytes: Annotated[int, Field(ge=10_000)] = 10_000_000
    """Size at which the file is rotated."""
    file_count: Annotated[int, Field(ge=1, le=100)] = 5
    """Rotated files that are kept."""


def redact(value: Any, key: str = "") -> Any:
    """A value as it may be shown: secrets masked, and all that lies below a telling key."""
    if isinstance(value, dict):
        return {name: redact(item, f"{key}.{name}") for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [redact(item, key) for item in value]
    if _SECRET_KEY.search(key) and value not in (None, ""):
        return MASK
    return _redact_text(value) if isinstance(value, str) else value


def configure_logging(settings: LogSettings) -> None:
    """Set up the root logger of this process; may be called again with other settings."""
    as_json = settings.format == "json" or (settings.format == "auto" and not sys.stdout.isatty())
    handlers: list[logging.Handler] = [logging.StreamHandler(sys.stdout)]
    handlers[0].setFormatter(_formatter(as_json=as_json))
    if settings.file is not None:
        settings.file.parent.mkdir(parents=True, exist_ok=True)
        rotating = logging.handlers.RotatingFileHandler(
            settings.file, maxBytes=settings.file_bytes, backupCount=settings.file_count, encoding="utf-8"
        )
        rotating.setFormatter(_formatter(as_json=True))
        handlers.append(rotating)
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
        old.close()
    for handler in handlers:
        root.addHandler(handler)
    root.setLevel(settings.level.upper())
    _tame_libraries()


def _formatter(*, as_json: bool) -> logging.Formatter:
    # Plain tracebacks: the fancier ones show local variables, and with them passwords.
    console = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    renderer: Any = structlog.processors.JSONRenderer() if as_json else console
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[
            structlog.stdlib.add_log_level,
            structlog.stdlib.add_logger_name,
            structlog.stdlib.ExtraAdder(),
            structlog.processors.TimeStamper(fmt="iso", utc=True),
        ],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info if as_json else _unchanged,
            _redact_event,
            renderer,
            _redact_line,
        ],
    )


def _unchanged(_logger: Any, _name: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    return event


def _redact_event(_logger: Any, _name: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    return {key: redact(value, key) for key, value in event.items()}


def _redact_line(_logger: Any, _name: str, line: Any) -> str:
    """Once more at the end, for what became text only now: exceptions, bytes and other objects."""
    return _redact_text(line)


def _redact_text(text: str) -> str:
    """Tokens, who signs on in an address, and what has a telling name in its query."""
    return _SECRET_QUERY.sub(rf"\1{MASK}", _SECRET_TEXT.sub(MASK, text))


def _tame_libraries() -> None:
    """Quiet what others log about every request; and what the server says of answers we broke off on purpose."""
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
    server = logging.getLogger("uvicorn.error")
    if not any(isinstance(each, _Deliberate) for each in server.filters):
        server.addFilter(_Deliberate())


class _Deliberate(logging.Filter):
    """Drops the server's complaint about an unfinished answer: the gateway has logged why it broke it off."""

    def filter(self, record: logging.LogRecord) -> bool:
        message = record.getMessage()
        return message not in (_UNFINISHED, "Unsupported upgrade request.", "Invalid HTTP request received.")
