"""What a message looks like: by templates of the settings, else as below."""

import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from types import FrameType
from typing import Any

from jinja2 import StrictUndefined, Template, TemplateError
from jinja2.exceptions import SecurityError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from signalbox.core.times import to_rfc3339
from signalbox.notifications.errors import RenderError

MAX_OUTPUT = 100_000
"""Characters that a template may make."""
MAX_SECONDS = 0.25
MAX_TITLE = 200
MAX_SUMMARY = 100
"""Characters of a message's title within another message."""
_MAX_PRODUCT = 10_000
"""Numbers and texts that a template may reach by ``*``."""
_TEMPLATE_FILE = "<template>"


@dataclass(frozen=True, slots=True)
class Member:
    """A message that is told of within another."""

    id: str
    topic: str
    severity: str
    description: str
    created_at: int


@dataclass(frozen=True, slots=True)
class Subject:
    """What there is to tell."""

    id: str
    topic: str
    severity: str
    description: str
    app: str | None
    customer: str | None
    metadata: Mapping[str, Any]
    created_at: int
    """Microseconds UTC."""
    group: Sequence[Member] = ()
    """All messages that are told of, this one among them; empty where it is alone."""


@dataclass(frozen=True, slots=True)
class Look:
    """A message as people see it."""

    title: str
    text: str
    html: str | None


class _Sandbox(ImmutableSandboxedEnvironment):
    """Jinja2 for templates of the settings: no way to Python's insides, and no huge values by ``*`` and ``**``."""

    intercepted_binops = frozenset({"*", "**"})

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        """Multiply small things only."""
        sizes = [len(each) if isinstance(each, (str, list, tuple)) else abs(each) for each in (left, right)]
        if operator == "**" or any(size > _MAX_PRODUCT for size in sizes) or sizes[0] * sizes[1] > _MAX_PRODUCT**2:
            msg = f"{operator} of large values is not allowed"
            raise SecurityError(msg)
        return super().call_binop(context, operator, left, right)


def _environment(*, autoescape: bool) -> _Sandbox:
    made = _Sandbox(autoescape=autoescape, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    made.globals.clear()  # lipsum, cycler and the like serve no message; range may make long loops
    made.filters["time"] = to_rfc3339
    for name in ("center", "indent", "format", "wordwrap"):  # they make a long text of a short one at once
        del made.filters[name]
    return made


_TEXT, _HTML = _environment(autoescape=False), _environment(autoescape=True)


def check_template(source: str) -> str:
    """The source of a template that Jinja2 understands.

    Raises:
        ValueError: it does not; the message says where.
    """
    try:
        _TEXT.from_string(source)
    except TemplateError as error:
        line = getattr(error, "lineno", None)
        msg = f"is no template: {error}" + (f" (line {line})" if line else "")
        raise ValueError(msg) from None
    return source


def render(subject: Subject, *, title: str | None = None, text: str | None = None, html: str | None = None) -> Look:
    """A message as templates want it.

    Raises:
        RenderError: a template failed, took over ``MAX_SECONDS`` or made over ``MAX_OUTPUT`` characters.
    """
    made_title = default_title(subject) if title is None else _run(_compile(title, html=False), subject)
    made_text = default_text(subject) if text is None else _run(_compile(text, html=False), subject)
    made_html = None if html is None else _run(_compile(html, html=True), subject)
    return Look(" ".join(made_title.split())[:MAX_TITLE], made_text, made_html)


def default_title(subject: Subject) -> str:
    """What it is about in one line."""
    label = subject.topic if subject.severity == "info" else f"{subject.topic} ({subject.severity})"
    if len(subject.group) > 1:
        return f"{len(subject.group)} messages: {', '.join(sorted({each.topic for each in subject.group}))}"
    return f"{label}: {summary(subject.description)}"


def default_text(subject: Subject) -> str:
    """The message and what is known of it; of several, one line for each."""
    if len(subject.group) > 1:
        return "\n".join(_line(each) for each in subject.group)
    known = [("Customer", subject.customer), ("App", subject.app)]
    known += [(name, _plain(value)) for name, value in subject.metadata.items()]
    facts = [f"{name}: {value}" for name, value in known if value not in (None, "")]
    return "\n".join([subject.description, *([""] if facts else []), *facts])


def summary(description: str) -> str:
    """The first line of a text, at most ``MAX_SUMMARY`` characters."""
    first = next((line.strip() for line in description.splitlines() if line.strip()), "")
    return first if len(first) <= MAX_SUMMARY else f"{first[: MAX_SUMMARY - 1]}…"


def _line(member: Member) -> str:
    severity = "" if member.severity == "info" else f" {member.severity}"
    return f"- {to_rfc3339(member.created_at)[11:19]} {member.topic}{severity}: {summary(member.description)}"


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else str(value)


@lru_cache(maxsize=256)
def _compile(source: str, *, html: bool) -> Template:
    return (_HTML if html else _TEXT).from_string(source)


def _run(template: Template, subject: Subject) -> str:
    values = {name: getattr(subject, name) for name in Subject.__slots__}
    try:
        with _Deadline(MAX_SECONDS):
            return _collect(template.generate(values))
    except RenderError:
        raise
    except Exception as error:  # a template of the settings may raise whatever its expressions do
        msg = f"the template failed: {type(error).__name__}: {error}"
        raise RenderError(msg) from error


def _collect(pieces: Iterable[str]) -> str:
    kept, size = [], 0
    for piece in pieces:
        size += len(piece)
        if size > MAX_OUTPUT:
            msg = f"the template makes over {MAX_OUTPUT} characters"
            raise RenderError(msg)
        kept.append(piece)
    return "".join(kept)


class _Deadline:
    """Ends the code of a template that takes too long: a loop in a loop would halt the whole process.

    Python calls a trace function at every line of the template's code; nothing else can look into its loops.
    """

    def __init__(self, seconds: float) -> None:
        self._until = time.monotonic() + seconds
        self._before: Any = None

    def __enter__(self) -> None:
        self._before = sys.gettrace()
        sys.settrace(self._trace)

    def __exit__(self, *_: object) -> None:
        sys.settrace(self._before)

    def _trace(self, frame: FrameType, _event: str, _argument: Any) -> Any:
        if frame.f_code.co_filename != _TEMPLATE_FILE:
            return None
        if time.monotonic() > self._until:
            msg = f"the template takes over {MAX_SECONDS:g} s"
            raise RenderError(msg)
        return self._trace
