"""Whether the process lives, whether it may be sent traffic, and its numbers."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Literal

from fastapi import APIRouter, Response
from pydantic import BaseModel
from sqlalchemy import Connection, text

from signalbox.core.errors import SignalboxError
from signalbox.infra.clock import Clock
from signalbox.infra.db import Database
from signalbox.infra.telemetry import Metrics
from signalbox.infra.telemetry.metrics import CONTENT_TYPE

CHECK_TIMEOUT = 2.0
REMEMBERED = 0.5
"""Seconds that an answer is good for, so that probes cannot load what they probe."""

_log = logging.getLogger(__name__)

Check = Callable[[], Awaitable[None]]
"""Returns if the part works, raises SignalboxError if it does not."""


class Health(BaseModel):
    """``GET /healthz``."""

    status: Literal["ok"] = "ok"


class Readiness(BaseModel):
    """``GET /readyz``."""

    status: Literal["ready", "degraded", "unready", "draining"]
    checks: dict[str, str]
    """``ok``, or why not, for each part."""


class ReadinessProbe:
    """Asks every part whether it works. With ``tolerant`` a broken part leaves the process ready, degraded."""

    def __init__(self, checks: Mapping[str, Check], clock: Clock, *, tolerant: bool) -> None:
        self.draining = False
        """Whether the process is about to end and wants no more traffic."""
        self._checks, self._clock, self._tolerant = dict(checks), clock, tolerant
        self._answer: Readiness | None = None
        self._answered = 0.0
        self._lock = asyncio.Lock()

    async def ask(self) -> Readiness:
        """The state now, at most ``REMEMBERED`` seconds old."""
        if self.draining:
            return Readiness(status="draining", checks={})
        async with self._lock:
            if self._answer is None or self._clock.monotonic() - self._answered >= REMEMBERED:
                results = await asyncio.gather(*(_try(name, check) for name, check in self._checks.items()))
                self._answer = self._judge(dict(zip(self._checks, results, strict=True)))
                # from its end: callers who waited while a check was slow take this answer and start no other
                self._answered = self._clock.monotonic()
            return self._answer

    def _judge(self, checks: dict[str, str]) -> Readiness:
        if all(result == "ok" for result in checks.values()):
            return Readiness(status="ready", checks=checks)
        return Readiness(status="degraded" if self._tolerant else "unready", checks=checks)


def database_check(db: Database) -> Check:
    """A check that the database answers."""

    async def check() -> None:
        await db.read(_ping)

    return check


def build_router(probe: ReadinessProbe, metrics: Metrics) -> APIRouter:
    """Open to everybody; probes and scrapers have no tokens."""
    router = APIRouter(tags=["operation"])

    @router.get("/healthz", summary="Is the process alive?")
    async def healthz() -> Health:
        """Answers as long as the event loop turns."""
        return Health()

    @router.get("/readyz", summary="May traffic be sent here?", responses={503: {"model": Readiness}})
    async def readyz(response: Response) -> Readiness:
        """200 when ready or degraded; 503 while a needed part is away, and while draining."""
        readiness = await probe.ask()
        if readiness.status in ("unready", "draining"):
            response.status_code = 503
        return readiness

    @router.get("/metrics", summary="Prometheus metrics", response_class=Response)
    async def prometheus() -> Response:
        """Text format; labels are bounded."""
        return Response(metrics.render(), media_type=CONTENT_TYPE)

    return router


async def _try(name: str, check: Check) -> str:
    try:
        async with asyncio.timeout(CHECK_TIMEOUT):
            await check()
    except TimeoutError:
        return f"no answer within {CHECK_TIMEOUT:g} s"
    except SignalboxError as error:
        return str(error)
    except Exception:  # noqa: BLE001 - one broken check must not hide what the others found
        _log.exception("a readiness check failed", extra={"check": name})
        return "failed unexpectedly; the log says how"
    return "ok"


def _ping(tx: Connection) -> None:
    tx.execute(text("SELECT 1"))
