"""The seam to other people's task APIs: what the hub asks of a provider, one module for each kind.

A module of this package holds one kind: its settings, the class that is its ``Provider``, an example (see
``core.registry``). A provider knows nothing of budgets, retries or the database: who calls it has taken a permit
before, and writes down what comes of it.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, NamedTuple, Protocol, cast

from pydantic import Field

from signalbox.core.errors import SignalboxError
from signalbox.core.rates import Rate, RateSetting
from signalbox.core.registry import PluginSettings, discover
from signalbox.infra.clock import Clock
from signalbox.infra.http.recorded import RecordedClient

PACKAGE: Final = __name__
"""Where ``core.registry`` looks for kinds."""


class ProviderSettings(PluginSettings):
    """What the settings of every provider have, ``[[tasks.providers]]``."""

    limits: tuple[RateSetting, ...] = ()
    """How often its host may be called, besides what ``[[budgets]]`` say of it, such as ``["50/30s", "1000/1d"]``."""
    poll_share: Annotated[float, Field(ge=0, le=1)] | None = None
    """Share of these limits that polls take at most, and that is kept for them as far as they are likely to use it; unset:
    that of the host's budget, or a tenth."""
    poll_interval: Annotated[float, Field(gt=0, le=86_400)] = 10.0
    """Seconds between two polls, while tasks are under way."""

    @property
    def keyed_limits(self) -> Mapping[str, Rate]:
        """The limits, each by a key that no other provider has."""
        return {f"provider:{self.name}:{rate}": rate for rate in self.limits}


class Outgoing(NamedTuple):
    """A task to submit."""

    id: int
    """Ours."""
    reference: str
    """The client reference: ours too, random, the same at every attempt; what idempotency keys and look-ups go by."""
    payload: dict[str, Any]
    attempt: int
    """From 1."""
    send_by: float | None = None
    """Moment of the event loop's clock from which on it must not be sent: its permit is over then. None: any time."""


class Receipt(NamedTuple):
    """What the provider said when it took a task, or knows of one that it took."""

    external_id: str | None
    """Its own id; None where it gives none."""
    status: str | None
    """As in ``Sighting``; None where it did not say."""


class Sighting(NamedTuple):
    """One task as a poll found it."""

    key: str
    """The external id where there is one, else our id as text."""
    status: str
    """One of ours, where the word is known or the settings translate it; else the provider's own word."""
    message: str | None


class Sightings(NamedTuple):
    """What a poll brought."""

    found: list[Sighting]
    """In the order of the answer; a key may stand there more than once."""
    bad: int
    """Elements that could not be read."""


class SubmitRefusedError(SignalboxError):
    """A task was not taken, or nobody knows whether it was. ``str(error)`` is what the provider said of it.

    ``permanent``: the same task would be refused again. ``retry_after``: seconds that the provider wants to be left
    alone for, None where it did not say. ``too_many``: it says that it is asked too often. ``sent``: False where the task certainly was not taken (nothing arrived, or the
    provider said no); True where it may have been, so that it must be looked up before it is sent again.
    """

    code = "submit_refused"

    def __init__(
        self, message: str, *, permanent: bool, retry_after: float | None = None, too_many: bool = False, sent: bool
    ) -> None:
        super().__init__(message)
        self.permanent, self.retry_after, self.too_many, self.sent = permanent, retry_after, too_many, sent


class PollFailedError(SignalboxError):
    """A poll or a look-up brought nothing that could be believed; it changes nothing.

    ``retry_after``: seconds that the provider wants to be left alone for, None where it did not say. ``too_many``: it
    says that it is asked too often.
    """

    code = "poll_failed"

    def __init__(self, message: str, *, retry_after: float | None = None, too_many: bool = False) -> None:
        super().__init__(message)
        self.retry_after, self.too_many = retry_after, too_many


class Provider(Protocol):
    """A third-party API that takes tasks and works them off in its own time."""

    name: str
    host: str
    """Whose budget its calls take from."""
    limits: Mapping[str, Rate]
    """How often it may be called, besides the budget of its host, by keys that are its own (``extra`` of a budget)."""
    poll_share: float | None
    """Share of polls in these limits; None: that of the host's budget."""
    poll_interval: float
    """Seconds between two polls."""
    can_look_up: bool
    """Whether ``look_up`` finds a task by its reference."""
    is_idempotent: bool
    """Whether a task submitted again with its reference is not done twice."""
    batch: int | None
    """How many keys one ``poll`` takes at most; None where one poll brings all tasks."""

    async def submit(self, task: Outgoing) -> Receipt:
        """Hand a task over, in one call.

        Raises:
            SubmitRefusedError: it was refused, or the call failed.
            TooLateError: there was no connection before ``send_by``; nothing was sent.
        """
        ...

    async def poll(self, keys: Sequence[str], *, send_by: float | None = None) -> Sightings:
        """How tasks stand, in one call: those of ``keys`` (at most ``batch``), or all where ``batch`` is None.

        ``send_by`` as in ``Outgoing``.

        Raises:
            PollFailedError: no answer, or none that makes sense.
            TooLateError: there was no connection before ``send_by``; nothing was sent.
        """
        ...

    async def look_up(self, reference: str, *, send_by: float | None = None) -> Receipt | None:
        """Whether a task with that reference has arrived; None where it certainly has not.

        ``send_by`` as in ``Outgoing``.

        Raises:
            PollFailedError: no answer, or none that makes sense.
            TooLateError: there was no connection before ``send_by``; nothing was sent.
        """
        ...


class ProviderKind(Protocol):
    """A class that is a kind of provider: how each is made."""

    def __call__(self, settings: Any, *, outbound: RecordedClient, clock: Clock) -> Provider:
        """Make one; ``settings`` are of its ``settings_model``.

        Raises:
            UnreadableSecretError: a secret is not where the settings say.
        """
        ...


def build_provider(settings: PluginSettings, *, outbound: RecordedClient, clock: Clock) -> Provider:
    """The provider that settings describe.

    Raises:
        UnreadableSecretError: a secret is not where the settings say.
    """
    kind = cast("ProviderKind", discover(PACKAGE)[settings.kind])
    return kind(settings, outbound=outbound, clock=clock)
