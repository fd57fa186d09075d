"""The ways to tell people: what every channel is given, what it answers, how it fails.

A channel is one module of this package: its settings and its class. ``core/registry.py`` finds it;
``docs/howto/add-a-channel.md`` shows one being made. A channel tries once and says what came of it; whether and when to
try again, and how often to send, is for the delivery to decide.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, NamedTuple, Protocol, cast

from signalbox.core.errors import SignalboxError
from signalbox.core.rates import Rate
from signalbox.core.registry import PluginSettings, discover
from signalbox.infra.http.recorded import RecordedClient
from signalbox.notifications.channel_settings import DeliverySettings

PACKAGE: Final = "signalbox.notifications.channels"
MAX_EXCERPT = 300
"""Characters that are kept of an answer."""


class Summary(NamedTuple):
    """A message that is told of within another: a member of a group or of a digest."""

    id: str
    title: str
    created_at: int
    """Microseconds UTC."""


@dataclass(frozen=True)
class Notice:
    """A message, rendered for one channel. It is sent under the same ``id`` however often it is tried."""

    id: str
    """Of the message: ASCII letters, digits, ``-`` and ``_``; at most 64."""
    topic: str
    severity: str
    """``info``, ``warning``, ``error`` or ``critical``."""
    title: str
    """One line of plain text; may be empty."""
    text: str
    """Plain text; the channel escapes what its own markup would take for more."""
    created_at: int
    """Microseconds UTC."""
    html: str | None = None
    """The text as HTML, safe to show, where a template made one."""
    app: str | None = None
    customer: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    """JSON values."""
    group: tuple[Summary, ...] = ()
    """The messages that this one stands for; empty where it stands for itself."""


class Sent(NamedTuple):
    """The provider has accepted a notice."""

    provider_id: str | None = None
    """How the provider calls it."""
    status: int | None = None
    """Status code of the answer, HTTP or SMTP."""
    excerpt: str = ""
    """The beginning of the answer, without secrets."""


class ChannelError(SignalboxError):
    """A notice was not accepted. The message is a sentence without secrets, fit to be kept and shown."""

    code = "channel_error"

    def __init__(
        self,
        message: str,
        *,
        permanent: bool = False,
        retry_after: float | None = None,
        disable: bool = False,
        status: int | None = None,
        excerpt: str = "",
    ) -> None:
        super().__init__(message)
        self.message = message
        self.permanent = permanent or disable
        """Whether sending the same notice again would fail again."""
        self.retry_after = retry_after
        """Seconds that the provider asks to wait before anything else is sent through this channel."""
        self.disable = disable
        """Whether the channel itself has ended: its address is gone or its credential revoked."""
        self.status = status
        """Status code of the answer, HTTP or SMTP, where there was one."""
        self.excerpt = excerpt
        """The beginning of the answer, without secrets."""


class ChannelSettings(DeliverySettings):
    """What the settings of every kind have; each adds its own, and ``kind``."""


@dataclass(frozen=True, slots=True)
class Equipment:
    """What the hub lends to a channel."""

    outbound: RecordedClient
    """For HTTP; its ``clock`` tells the time."""
    allow_private_targets: bool = False
    """Whether addresses that a message names may lie in private networks."""


class Channel(Protocol):
    """One entry of ``[[notifications.channels]]``.

    Made as ``kind(settings, equipment)``, without network; one event loop uses it, for many notices at once.
    """

    settings_model: ClassVar[type[PluginSettings]]
    name: str
    host: str | None
    """Whose budget its calls take from; None where it calls no third party, or one that each message names."""
    rate: Rate | None
    """How often it may send; None: as often as it likes."""
    max_length: int | None
    """Characters of ``notice.text`` beyond which it refuses to send; None: no bound of its own."""

    async def send(self, notice: Notice) -> Sent:
        """Send one notice, once, within the timeout of the settings.

        Raises:
            ChannelError: it was not accepted, or nobody knows.
        """
        ...

    async def close(self) -> None:
        """Give connections back; nothing is sent afterwards."""
        ...


class ChannelKind(Protocol):
    """A class that is a kind of channel: how each is made."""

    def __call__(self, settings: Any, equipment: Equipment) -> Channel:
        """Make one; ``settings`` are of its ``settings_model``.

        Raises:
            UnreadableSecretError: a secret is not where the settings say.
        """
        ...


def build_channel(settings: PluginSettings, equipment: Equipment) -> Channel:
    """The channel that an entry of the settings describes.

    Raises:
        UnreadableSecretError: a secret is not where the settings say.
    """
    kind = cast("ChannelKind", discover(PACKAGE)[settings.kind])
    return kind(settings, equipment)
