"""Where something stands in a provider's answer: ``data.job.id``, or ``/data/job/id`` where names hold dots.

The second form is a JSON pointer (RFC 6901). The empty text is the answer as a whole.
"""

from collections.abc import Sequence
from typing import Annotated, Any, Final

from pydantic import AfterValidator

from signalbox.core.errors import InvalidError

_MOST_STEPS: Final = 16

MISSING: Final = object()
"""What ``find`` returns where there is nothing; null is something."""


def parse_place(text: str) -> tuple[str, ...]:
    """The steps from the whole answer to the place.

    Raises:
        InvalidError: a step is empty, or there are more than 16.
    """
    if text.startswith("/"):
        steps = tuple(step.replace("~1", "/").replace("~0", "~") for step in text[1:].split("/"))
    else:
        steps = tuple(text.split(".")) if text else ()
    if "" in steps or len(steps) > _MOST_STEPS:
        msg = f"{text!r} is no place in an answer; write names with dots between, such as data.id"
        raise InvalidError(msg)
    return steps


def find(value: Any, steps: Sequence[str]) -> Any:
    """What stands at the place in a decoded answer, numbers being positions in lists; else ``MISSING``."""
    for step in steps:
        if isinstance(value, dict) and step in value:
            value = value[step]
        elif isinstance(value, list) and step.isascii() and step.isdigit() and int(step) < len(value):
            value = value[int(step)]
        else:
            return MISSING
    return value


def _check(text: str) -> str:
    parse_place(text)
    return text


Place = Annotated[str, AfterValidator(_check)]
"""A field of settings that is written ``data.id``."""
