"""All settings; ``load.py`` finds their values."""

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PrivateAttr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from signalbox.auth.settings import AuthSettings
from signalbox.console.settings import StatusPageSettings
from signalbox.conversations.settings import ConversationSettings
from signalbox.core.logging import LogSettings
from signalbox.core.secrets import Secret
from signalbox.core.times import parse_span
from signalbox.criticality.settings import CriticalitySettings
from signalbox.gateway.settings import GatewaySettings
from signalbox.grid.settings import GridSettings
from signalbox.infra.limits.settings import BudgetSettings
from signalbox.notifications.settings import NotificationSettings
from signalbox.tasks.settings import TasksSettings

PREFIX = "SIGNALBOX_"
Role = Literal["all", "api", "gateway", "worker"]


def _check_span(text: str) -> str:
    parse_span(text)
    return text


def _check_root(path: str) -> str:
    path = path.rstrip("/")
    if path and not path.startswith("/"):
        msg = "starts with /, such as /b"
        raise ValueError(msg)
    return path


def _check_database(secret: Secret) -> Secret:
    text = secret.reveal()
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):  # what they say may hold a part of the password
        msg = "is no database address; write it as postgresql://user:password@host:5432/name"
        raise ValueError(msg) from None
    if url.get_backend_name() not in {"postgresql", "postgres", "sqlite"}:
        msg = f"speaks {url.get_backend_name()}; allowed are postgresql:// and sqlite:///"
        raise ValueError(msg)
    if url.get_backend_name() == "sqlite" and url.database in {None, "", ":memory:"}:
        msg = "names no file; write it as sqlite:///folder/signalbox.db"
        raise ValueError(msg)
    if url.get_backend_name() != "sqlite" and find_spec("psycopg") is None:
        msg = "needs the driver of PostgreSQL, which is not installed; install signalbox[postgresql]"
        raise ValueError(msg)
    return secret


def _check_redis(secret: Secret) -> Secret:
    scheme, mark, rest = secret.reveal().partition("://")
    if scheme not in {"redis", "rediss"} or not mark or not rest:
        msg = "is no Redis address; write it as redis://user:password@host:6379/0, or rediss:// for TLS"
        raise ValueError(msg)
    if find_spec("redis") is None:
        msg = "needs the client of Redis, which is not installed; install signalbox[redis]"
        raise ValueError(msg)
    return secret


def _check_budgets(budgets: list[BudgetSettings]) -> list[BudgetSettings]:
    hosts = [each.host for each in budgets]
    twice = sorted({host for host in hosts if hosts.count(host) > 1})
    if twice:
        msg = f"the host {twice[0]} has two budgets; write all its limits into one"
        raise ValueError(msg)
    return budgets


Span = Annotated[str, AfterValidator(_check_span)]


class CacheStoreSettings(BaseModel):
    """Where cached answers lie, ``[cache]``; which are cached is a matter of each upstream."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    max_bytes: Annotated[int, Field(ge=1024**2)] = 64 * 1024**2
    """Memory that they take in each process, where they lie there."""
    redis_url: Annotated[Secret, AfterValidator(_check_redis)] | None = None
    """``redis://...``: a Redis that several processes share; unset: in the memory of each."""


class RetentionSettings(BaseModel):
    """How long things are kept, ``[retention]``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    calls: Span = "7d"
    """Age at which recorded calls are deleted; sums by minute stay."""
    call_rows: Annotated[int, Field(ge=1_000)] = 1_000_000
    """Number of recorded calls that are kept."""
    events: Span = "30d"
    """Age at which events are deleted."""
    idempotency_keys: Span = "24h"
    """How long a request with an ``Idempotency-Key`` is answered as it was the first time."""
    jobs: Span = "1d"
    """Age at which jobs that are done or cancelled are deleted."""
    dead_jobs: Span = "30d"
    """Age at which dead jobs are deleted."""
    notifications: Span = "30d"
    """Age at which messages are deleted, with their deliveries, where none of these waits any more."""
    criticality_changes: Span = "90d"
    """Age at which reports of levels are deleted; what is current stays."""
    tasks: Span = "365d"
    """Age at which tasks that have ended are deleted, with their history; by when they last changed."""
    criticality_asks: Span = "90d"
    """Age at which counts of asks for levels are deleted."""


class Settings(BaseSettings):
    """Everything that can be set."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter="__",
        extra="forbid",
        frozen=True,
        nested_model_default_partial_update=True,
    )

    host: str = "127.0.0.1"
    """Address to listen on."""
    port: Annotated[int, Field(ge=0, le=65_535)] = 8000
    """Port to listen on; 0 takes a free one."""
    role: Role = "all"
    """What this process does."""
    workers: Annotated[int, Field(ge=1, le=256)] = 1
    """Processes that share the port; more than one needs PostgreSQL."""
    root_path: Annotated[str, AfterValidator(_check_root)] = ""
    """Path under which a proxy serves the hub, such as /b."""
    data_dir: Path = Path("signalbox-data")
    """Folder of the SQLite files."""
    database_url: Annotated[Secret, AfterValidator(_check_database)] | None = None
    """``postgresql://...``; unset: SQLite in ``data_dir``."""
    idle_timeout: Annotated[float, Field(gt=0, le=86_400)] = 75.0
    """Seconds that a client may take for a request's head, or take nothing of an answer, and that a connection without
    requests stays open."""
    body_timeout: Annotated[float, Field(gt=0, le=86_400)] = 30.0
    """Seconds that a client may take for a request's body, and one more for each 500 bytes of it."""
    drain_delay: Annotated[float, Field(ge=0, le=300)] = 0.0
    """Seconds between SIGTERM, from when on ``/readyz`` says 503, and the end of taking connections."""
    drain_timeout: Annotated[float, Field(gt=0, le=3_600)] = 30.0
    """Seconds that calls and jobs under way have to end; jobs that do not run again."""
    auth: AuthSettings = AuthSettings()
    gateway: GatewaySettings = GatewaySettings()
    criticality: CriticalitySettings = CriticalitySettings()
    log: LogSettings = LogSettings()
    cache: CacheStoreSettings = CacheStoreSettings()
    retention: RetentionSettings = RetentionSettings()
    tasks: TasksSettings = TasksSettings()
    grid: GridSettings = GridSettings()
    conversations: ConversationSettings = ConversationSettings()
    notifications: NotificationSettings = NotificationSettings()
    status_page: StatusPageSettings = StatusPageSettings()
    budgets: Annotated[list[BudgetSettings], AfterValidator(_check_budgets)] = []
    """How often third-party hosts may be called by everything together, ``[[budgets]]``."""
    budget_margin: Annotated[float, Field(ge=0, le=10)] = 0.1
    """Seconds by which windows of budgets are longer at our end, for calls that take unevenly long to arrive."""

    _origins: Mapping[str, str] = PrivateAttr(default_factory=dict)

    @property
    def origins(self) -> Mapping[str, str]:
        """Where settings were set, by dotted name, such as ``environment: SIGNALBOX_PORT``; without those that are not."""
        return self._origins

    def came_from(self, origins: Mapping[str, str]) -> Self:
        """The same settings, with their origins; for whoever has read them."""
        self._origins = origins
        return self

    @property
    def sqlite_path(self) -> Path | None:
        """File of the main database; None on PostgreSQL."""
        if self.database_url is None:
            return self.data_dir / "signalbox.db"
        url = make_url(self.database_url.reveal())
        return Path(url.database or "signalbox.db") if url.get_backend_name() == "sqlite" else None

    @model_validator(mode="after")
    def _one_process_on_sqlite(self) -> Self:
        if self.sqlite_path is None:
            return self
        if self.workers > 1:
            msg = f"workers = {self.workers} needs PostgreSQL: SQLite has one server process; set database_url"
            raise ValueError(msg)
        if self.role != "all":
            msg = f"role = {self.role!r} needs PostgreSQL: SQLite has one server process; set database_url"
            raise ValueError(msg)
        return self
