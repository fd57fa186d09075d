"""Apprise: over a hundred other services, each by the address that Apprise has for it. An extra.

https://github.com/caronc/apprise/wiki
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator

from signalbox.core.secrets import Secret
from signalbox.notifications.channels import ChannelError, ChannelSettings, Equipment, Notice, Sent
from signalbox.notifications.channels.markup import byline, clean, heading, refuse_oversize

if TYPE_CHECKING:
    from apprise import Apprise

MAX_TEXT = 20_000
MAX_TITLE = 200
THREADS = 4
_TYPES = {"warning": "warning", "error": "failure", "critical": "failure"}


def _check_url(secret: Secret) -> Secret:
    if find_spec("apprise") is None:
        msg = "needs Apprise, which is not installed; install signalbox[apprise]"
        raise ValueError(msg)
    _service(secret.reveal())
    return secret


def _service(url: str) -> "Apprise":
    from apprise import Apprise, NotifyBase  # noqa: PLC0415 - an extra, needed by those who set it

    service = Apprise.instantiate(url)
    if not isinstance(service, NotifyBase):
        msg = "is no address that Apprise knows, such as discord://webhook_id/webhook_token"
        raise ValueError(msg)  # noqa: TRY004 - Pydantic reports it with its field
    made = Apprise()
    made.add(service)
    return made


class AppriseSettings(ChannelSettings):
    """A service that Apprise knows."""

    kind: Literal["apprise"]
    url: Annotated[Secret, AfterValidator(_check_url)]
    """One address as Apprise writes them; with several, those that worked would be sent to again with those that did
    not."""


class AppriseChannel:
    """Sends through Apprise, in threads of its own: it blocks while it waits for the service."""

    settings_model = AppriseSettings

    def __init__(self, settings: AppriseSettings, equipment: Equipment) -> None:
        del equipment  # it has its own HTTP client
        self.name, self.rate = settings.name, settings.rate
        self.host: str | None = None
        self.max_length: int | None = MAX_TEXT
        self._timeout = settings.timeout
        self._service = _service(settings.url.reveal())
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix=f"apprise-{settings.name}")

    @classmethod
    def example(cls, url: str) -> AppriseSettings:
        """The least that does."""
        return AppriseSettings(kind="apprise", name="other", url=Secret(url.replace("http://", "json://")))

    async def send(self, notice: Notice) -> Sent:
        """Send the notice.

        Raises:
            ChannelError: Apprise says that it failed; it does not say whether it always will.
        """
        refuse_oversize(notice, MAX_TEXT)
        sending = asyncio.get_running_loop().run_in_executor(self._threads, self._notify, notice)
        try:
            async with asyncio.timeout(self._timeout):
                accepted = await sending
        except TimeoutError as error:
            msg = "the service did not answer in time"
            raise ChannelError(msg) from error
        if not accepted:
            msg = "Apprise could not send it; its log says why"
            raise ChannelError(msg)
        return Sent(None, None, "accepted")

    async def close(self) -> None:
        """Let the threads go; what they wait for ends at the timeout that Apprise was given."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _notify(self, notice: Notice) -> bool:
        text = f"{clean(notice.text)}\n\n{byline(notice)}"
        kind = _TYPES.get(notice.severity, "info")
        title = heading(notice, MAX_TITLE)
        return bool(
            self._service.notify(body=text, title=title, notify_type=kind, body_format="text", timeout=self._timeout)
        )
