"""Providers that take and give JSON over HTTP, each in its own dialect: the kind ``http-json``."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Final, Literal, Self

import msgspec
from pydantic import AfterValidator, Field, StringConstraints, model_validator

from signalbox.core.secrets import Secret
from signalbox.infra.clock import Clock
from signalbox.infra.http import Timeouts
from signalbox.infra.http.recorded import RecordedClient
from signalbox.tasks.providers import (
    Outgoing,
    PollFailedError,
    ProviderSettings,
    Receipt,
    Sightings,
    SubmitRefusedError,
)
from signalbox.tasks.providers.addresses import Address, parse_address
from signalbox.tasks.providers.answers import AnswerReader, Shape
from signalbox.tasks.providers.calls import SERVER_ERRORS, Caller, filled
from signalbox.tasks.providers.places import Place
from signalbox.tasks.providers.statuses import StatusWords
from signalbox.tasks.providers.templates import BodyTemplate, Template, TemplateError, Words
from signalbox.tasks.schemas import Status

_SUBMIT: Final = frozenset({"id", "reference", "payload", "secret"})
_LIST: Final = frozenset({"secret"})
_BATCH: Final = frozenset({"ids", "secret"})
_ITEM: Final = frozenset({"id", "secret"})
_LOOKUP: Final = frozenset({"reference", "secret"})
_HIDDEN: Final = frozenset({"secret"})

_FRAMING: Final = frozenset({"host", "content-length", "transfer-encoding", "connection", "upgrade", "te", "trailer"})
_MEBIBYTE: Final = 1024**2


def _address(words: frozenset[str]) -> AfterValidator:
    def check(text: str) -> str:
        parse_address(text, words, hidden=_HIDDEN)
        return text

    return AfterValidator(check)


def _check_header(name: str) -> str:
    if name.lower() in _FRAMING:
        msg = f"{name} is set by the client itself"
        raise ValueError(msg)
    return name


def _check_common(text: str) -> str:
    Template(text, _LIST)
    return text


def _check_of_task(text: str) -> str:
    Template(text, _SUBMIT)
    return text


def _check_body(source: Any) -> Any:
    BodyTemplate(source, _SUBMIT)
    return source


SubmitUrl = Annotated[str, _address(_SUBMIT)]
ListUrl = Annotated[str, _address(_LIST)]
BatchUrl = Annotated[str, _address(_BATCH)]
ItemUrl = Annotated[str, _address(_ITEM)]
LookupUrl = Annotated[str, _address(_LOOKUP)]
HeaderName = Annotated[
    str, StringConstraints(pattern=r"^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}$"), AfterValidator(_check_header)
]
SecretName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
Seconds = Annotated[float, Field(gt=0, le=3_600)]


class HttpJsonSettings(ProviderSettings):
    """A provider that takes and gives JSON over HTTP.

    Addresses, headers and the body hold words in braces: ``{id}``, ``{reference}``, ``{payload.x}``, ``{secret.x}``.
    """

    kind: Literal["http-json"]
    submit_url: SubmitUrl | None = None
    """Where tasks are sent to; unset: they get there by other ways, and are only asked for."""
    submit_method: Literal["POST", "PUT", "PATCH"] = "POST"
    submit_headers: dict[HeaderName, Annotated[str, AfterValidator(_check_of_task)]] = {}  # noqa: RUF012 - Pydantic copies it
    """Further headers of submissions."""
    body: Annotated[Any, AfterValidator(_check_body)] = "{payload}"
    """What is sent, as JSON; a text that is one word alone becomes the value itself."""
    submit_id: Place = "id"
    """Where the answer has the provider's own id; missing: tasks are known by ours."""
    submit_status: Place = "status"
    """Where the answer has the status, if it says one."""
    unclear_statuses: frozenset[Annotated[int, Field(ge=500, le=599)]] = frozenset({502, 504})
    """Answers to a submission after which nobody knows whether the task was taken."""
    idempotency_header: HeaderName | None = None
    """Header for the client reference, by which the provider knows a task that it has taken already."""

    lookup_url: LookupUrl | None = None
    """Where a task is found by its ``{reference}``: 404, null or an empty list says that it never arrived."""
    lookup_place: Place = ""
    """Where the answer has the task, or a list of tasks."""
    lookup_reference: Place | None = None
    """Where a task in that list has its reference; set it if the list may hold others too."""

    list_url: ListUrl | None = None
    """Where one call brings all tasks."""
    batch_url: BatchUrl | None = None
    """Where one call brings several: ``{ids}`` are theirs, with commas between."""
    batch_size: Annotated[int, Field(ge=1, le=10_000)] = 100
    """How many at once."""
    item_url: ItemUrl | None = None
    """Where one call brings the task ``{id}``; of the three addresses the first that is set is asked."""
    items: Place = ""
    """Where the answer of a list or batch has its array; unset: it is the array."""
    id_field: Place = "id"
    status_field: Place = "status"
    message_field: Place = "error_message"
    statuses: dict[str, Status] = {}  # noqa: RUF012 - Pydantic copies it
    """Which of our statuses the provider's words mean; ours, however spelt (``in_progress``), need no entry."""

    headers: dict[HeaderName, Annotated[str, AfterValidator(_check_common)]] = {}  # noqa: RUF012 - Pydantic copies it
    """Headers of every call, such as ``Authorization = "Bearer {secret.token}"``."""
    secrets: dict[SecretName, Secret] = {}  # noqa: RUF012 - Pydantic copies it
    """What ``{secret.x}`` stands for."""
    connect_timeout: Seconds = 5.0
    """Seconds until a connection must stand."""
    read_timeout: Seconds = 30.0
    """Seconds that the provider may be silent."""
    total_timeout: Seconds = 120.0
    """Seconds that a call may take."""
    max_answer: Annotated[int, Field(ge=1_024, le=1024 * _MEBIBYTE)] = 64 * _MEBIBYTE
    """Largest answer in bytes that is read."""

    @property
    def addresses(self) -> dict[str, Address]:
        """Those that are set, by the name of their field."""
        given = (
            ("submit_url", self.submit_url, _SUBMIT),
            ("lookup_url", self.lookup_url, _LOOKUP),
            ("list_url", self.list_url, _LIST),
            ("batch_url", self.batch_url, _BATCH),
            ("item_url", self.item_url, _ITEM),
        )
        return {name: parse_address(url, words, hidden=_HIDDEN) for name, url, words in given if url is not None}

    @property
    def shape(self) -> Shape:
        """Where things stand in answers."""
        return Shape(
            items=self.items,
            id=self.id_field,
            status=self.status_field,
            message=self.message_field,
            submit_id=self.submit_id,
            submit_status=self.submit_status,
            lookup=self.lookup_place,
            reference=self.lookup_reference,
        )

    @model_validator(mode="after")
    def _can_be_asked(self) -> Self:
        if not {"list_url", "batch_url", "item_url"} & self.addresses.keys():
            msg = "needs list_url, batch_url or item_url: where to ask how tasks stand"
            raise ValueError(msg)
        for name, word in (("batch_url", "ids"), ("item_url", "id"), ("lookup_url", "reference")):
            address = self.addresses.get(name)
            if address is not None and word not in address.words:
                msg = f"{name} does not say where {{{word}}} stands"
                raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _one_host(self) -> Self:
        hosts = sorted({address.host for address in self.addresses.values()})
        if len(hosts) > 1:
            msg = f"all addresses of a provider have the same host, since they share its budget, not {', '.join(hosts)}"
            raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _secrets_are_given(self) -> Self:
        headers = [*self.headers.values(), *self.submit_headers.values()]
        words = {word for text in headers for word in Template(text, _SUBMIT).words}
        words.update(BodyTemplate(self.body, _SUBMIT).words, *(each.words for each in self.addresses.values()))
        for word in sorted(word for word in words if word.partition(".")[0] == "secret"):
            if word.partition(".")[2] not in self.secrets:
                msg = f"{{{word}}} names no entry of secrets; there are: {', '.join(self.secrets) or 'none'}"
                raise ValueError(msg)
        return self


class HttpJsonProvider:
    """A ``Provider`` that speaks as its settings say."""

    settings_model: ClassVar = HttpJsonSettings

    def __init__(self, settings: HttpJsonSettings, *, outbound: RecordedClient, clock: Clock) -> None:
        self._settings, self._addresses = settings, settings.addresses
        self.name, self.host = settings.name, next(iter(self._addresses.values())).host
        self.limits = settings.keyed_limits
        self.poll_share, self.poll_interval = settings.poll_share, settings.poll_interval
        self.can_look_up = settings.lookup_url is not None
        self.is_idempotent = settings.idempotency_header is not None
        self._reader = AnswerReader(settings.shape, StatusWords(settings.statuses))
        self._body = BodyTemplate(settings.body, _SUBMIT)
        self._submit_headers = _templates(settings.submit_headers, _SUBMIT)
        header = settings.idempotency_header
        self._idempotency_header = None if header is None else header.lower().encode("ascii")
        # Where the task can be looked up that is done after any failure of the server's own; else such an API is one to
        # try again, but for the answers of a gateway that has lost its server.
        self._unclear = settings.unclear_statuses | (SERVER_ERRORS if self.can_look_up else frozenset())
        self._caller = Caller(
            settings.name,
            outbound=outbound,
            clock=clock,
            headers=_templates(settings.headers, _LIST),
            secrets=settings.secrets,
            timeouts=Timeouts(settings.connect_timeout, settings.read_timeout, settings.total_timeout),
            most=settings.max_answer,
        )
        self._poll_address = next(name for name in ("list_url", "batch_url", "item_url") if name in self._addresses)
        self.batch = {"list_url": None, "batch_url": settings.batch_size, "item_url": 1}[self._poll_address]

    @classmethod
    def example(cls, url: str) -> HttpJsonSettings:
        """Settings for a provider at ``url`` such as that of ``sandbox.provider``."""
        return HttpJsonSettings(
            kind="http-json",
            name="example",
            submit_url=f"{url}/tasks",
            body={"id": "{id}", "payload": "{payload}"},
            idempotency_header="Idempotency-Key",
            lookup_url=f"{url}/tasks?reference={{reference}}",
            list_url=f"{url}/tasks",
        )

    async def submit(self, task: Outgoing) -> Receipt:
        """See ``Provider.submit``."""
        address = self._addresses.get("submit_url")
        if address is None:
            msg = f"the provider {self.name} takes no tasks: it has no submit_url"
            raise SubmitRefusedError(msg, permanent=True, sent=False)
        words = {"id": task.id, "reference": task.reference, "payload": task.payload, "secret": self._caller.secrets}
        try:
            headers = filled(self._submit_headers, words)
            body = msgspec.json.encode(self._body.fill(words))
        except TemplateError as error:
            raise SubmitRefusedError(str(error), permanent=True, sent=False) from error
        headers[b"content-type"] = b"application/json"
        if self._idempotency_header is not None:
            headers[self._idempotency_header] = task.reference.encode("ascii")
        method, unclear = self._settings.submit_method, self._unclear
        answer = await self._caller.submit(
            method, address, words, headers=headers, body=body, unclear=unclear, send_by=task.send_by
        )
        return self._caller.receipt(self._reader, answer)

    async def poll(self, keys: Sequence[str], *, send_by: float | None = None) -> Sightings:
        """See ``Provider.poll``."""
        words: Words = {"ids": keys, "id": keys[0] if keys else None}
        is_item = self._poll_address == "item_url"
        address = self._addresses[self._poll_address]
        answer = await self._caller.ask(address, words, route="poll", may_lack=is_item, send_by=send_by)
        if answer is None:
            return Sightings([], bad=0)
        with self._caller.masking():
            return self._reader.sighting(answer.body) if is_item else await self._reader.sightings(answer.body)

    async def look_up(self, reference: str, *, send_by: float | None = None) -> Receipt | None:
        """See ``Provider.look_up``."""
        if not self.can_look_up:
            msg = f"the provider {self.name} has no lookup_url"
            raise PollFailedError(msg)
        words = {"reference": reference}
        address = self._addresses["lookup_url"]
        answer = await self._caller.ask(address, words, route="lookup", may_lack=True, send_by=send_by)
        if answer is None:
            return None
        with self._caller.masking():
            return self._reader.looked_up(answer.body, reference)


def _templates(headers: Mapping[str, str], names: frozenset[str]) -> dict[str, Template]:
    return {name: Template(text, names) for name, text in headers.items()}
