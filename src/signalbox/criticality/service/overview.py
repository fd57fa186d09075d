"""What people look at: a level over time, and who asked how often."""

from sqlalchemy import Connection

from signalbox.core.times import MINUTE, to_datetime
from signalbox.criticality import overview_store
from signalbox.criticality.errors import InvalidQueryError
from signalbox.criticality.overview_store import StoredStep
from signalbox.criticality.schemas import AppAsksOut, Step
from signalbox.criticality.service.report import check_signal

MOST_STEPS = 2_000


def list_steps(tx: Connection, name: str, *, since: int, until: int, most: int = 500) -> list[Step]:
    """What a signal stood at from ``since`` to before ``until``, oldest first, about ``most`` steps at the most.

    The first step is what it stood at when the period began, as far as history goes. Where there are more changes, each
    step is the last of a part of the period and tells the extremes within. Times are by the hub's clock, microseconds.

    Raises:
        InvalidSignalError: the signal's name is none.
        InvalidQueryError: the period is empty.
    """
    _check_period(since, until)
    check_signal(name)
    before = overview_store.find_level_before(tx, name, moment=since)
    steps = overview_store.find_steps(tx, name, since=since, until=until, parts=min(most, MOST_STEPS))
    return [_step_out(each) for each in [*([] if before is None else [before]), *steps]]


def list_app_asks(tx: Connection, *, name: str | None, since: int, until: int, limit: int) -> list[AppAsksOut]:
    """Who asked most in a period, of whole minutes, most first; ``tx`` is of the database of calls.

    Raises:
        InvalidQueryError: the period is empty.
    """
    _check_period(since, until)
    since -= since % MINUTE
    total = overview_store.count_asks(tx, name=name, since=since, until=until)
    found = overview_store.find_app_asks(tx, name=name, since=since, until=until, limit=limit)
    return [AppAsksOut(app=each.app, signal=each.signal, asks=each.asks, share=each.asks / total) for each in found]


def _check_period(since: int, until: int) -> None:
    if since >= until:
        msg = "the period ends before it begins"
        raise InvalidQueryError(msg, field="since")


def _step_out(row: StoredStep) -> Step:
    return Step(
        at=to_datetime(row.at),
        level=row.level,
        lowest=row.lowest,
        highest=row.highest,
        set_by=row.set_by,
        reason=row.reason,
    )
