"""How deliveries to a channel are made, whatever its kind: what every entry of ``[[notifications.channels]]`` has."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from signalbox.core.rates import Rate, RateSetting
from signalbox.core.registry import PluginSettings
from signalbox.core.times import parse_span
from signalbox.notifications.templates import check_template

MAX_RATE = 1_000
"""Messages in the window of a channel's rate at most: the moment of each is kept."""


def _check_span(text: str) -> str:
    parse_span(text)
    return text


def _check_rate(rate: Rate) -> Rate:
    if rate.limit > MAX_RATE:
        msg = f"lets at most {MAX_RATE} through in its window; write it with a shorter window"
        raise ValueError(msg)
    return rate


Span = Annotated[str, AfterValidator(_check_span)]
"""A span of time such as ``15m``."""

Template = Annotated[str, AfterValidator(check_template)]
"""A Jinja2 template; it sees the fields of a message and ``group``, the messages that are told of within it."""


class TemplateSettings(BaseModel):
    """How messages look on one channel; what is unset looks as it does without templates."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    title: Template | None = None
    """One line."""
    text: Template | None = None
    """Plain text."""
    html: Template | None = None
    """HTML for channels that can show it; what is put in is escaped."""


class DeliverySettings(PluginSettings):
    """What delivery needs to know of a channel."""

    rate: Annotated[RateSetting, AfterValidator(_check_rate)] | None = None
    """How often it may send, such as ``1/s``; unset: what the kind is known to allow."""
    timeout: Annotated[float, Field(gt=0, le=300)] = 10.0
    """Seconds that one attempt may take."""
    concurrency: Annotated[int, Field(ge=1, le=100)] = 4
    """Messages under way at once in one process; a channel with a rate sends one at a time."""
    retries: Annotated[tuple[Span, ...], Field(max_length=50)] = ("5s", "30s", "2m", "10m", "1h", "3h", "6h", "12h")
    """Waits before a failed delivery is tried again, each varied by a fifth; after the last it is dead."""
    max_age: Span = "3d"
    """Age beyond which a delivery is not tried again, however often it was put off."""
    digest: bool = True
    """Whether messages beyond the rate are told of together, in one that names them."""
    template: TemplateSettings = TemplateSettings()
