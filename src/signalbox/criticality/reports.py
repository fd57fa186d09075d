"""``POST /api/criticality`` and ``.../ack``: what producers and consumers say, kept before it is answered."""

from typing import Any, NamedTuple

from sqlalchemy import Connection

from signalbox.auth.doors import Accepted, Asked, Door
from signalbox.auth.principal import Principal
from signalbox.core.times import to_micros
from signalbox.criticality.parameters import consumer_name
from signalbox.criticality.polls import PATH, READ
from signalbox.criticality.runtime import CriticalityRuntime
from signalbox.criticality.schemas import Acknowledged, Kept, NewLevel
from signalbox.criticality.service import ask
from signalbox.criticality.service.report import Report, report
from signalbox.criticality.settings import DEFAULT_SIGNAL
from signalbox.criticality.store import Told
from signalbox.criticality.wire import level_out

WRITE = "criticality:write"


class NamedLevel(NamedTuple):
    """What a producer says, and of which signal."""

    signal: str
    new: NewLevel


class Reports:
    """The doors that producers report at."""

    def __init__(self, runtime: CriticalityRuntime) -> None:
        self._settings, self._announce = runtime.settings, runtime.announce

    def doors(self) -> list[Door[Any]]:
        """Their declarations."""
        described: dict[str, Any] = {
            "method": "POST",
            "scope": WRITE,
            "body": NewLevel,
            "handle": self.report,
            "prepare": _name,
            "answer": Kept,
            "status": 200,
            "idempotent": True,
            "tags": ("criticality",),
        }
        acknowledge: Door[Any] = Door(
            method="POST",
            path=f"{PATH}/ack",
            scope=READ,
            body=Acknowledged,
            handle=acknowledge_change,
            summary="Say that you have a change",
            answer=None,
            status=204,
            tags=("criticality",),
        )
        return [
            Door(path=PATH, summary="Report the level", **described),
            acknowledge,
            Door(path=PATH + "/{signal}", summary="Report a signal's level", **described),
        ]

    def report(self, tx: Connection, said: NamedLevel, principal: Principal, now: int) -> Accepted:
        """Keep a level."""
        new = said.new
        what = Report(said.signal, new.level, to_micros(new.changed_at), consumer_name(principal), new.reason)
        outcome = report(tx, what, settings=self._settings, announce=self._announce, now=now)
        current = level_out(outcome.current)
        return Accepted(200, Kept(outcome.revision, outcome.why is None, outcome.why, current))


def acknowledge_change(tx: Connection, said: Acknowledged, principal: Principal, now: int) -> Accepted:
    """Note that an app has a change."""
    ask.acknowledge(tx, Told(consumer_name(principal), said.signal, said.revision), now=now)
    return Accepted(204, None)


async def _name(asked: Asked) -> NamedLevel:
    return NamedLevel(asked.path.get("signal", DEFAULT_SIGNAL), asked.body)
