"""Who is expected to ask, and who does."""

from typing import Any

from sqlalchemy import Connection

from signalbox.auth import audit
from signalbox.core.pagination import Page, decode_cursor, to_page
from signalbox.core.times import DAY, HOUR, MICROSECONDS, MINUTE, parse_span, to_datetime
from signalbox.criticality import consumer_store, store
from signalbox.criticality.consumer_store import state_of
from signalbox.criticality.errors import UnknownConsumerError
from signalbox.criticality.models import Change, Consumer, Current
from signalbox.criticality.schemas import NEVER, AsksOut, ChangeOut, ConsumerOut, NewConsumer, SignalOut, State
from signalbox.criticality.service.report import check_signal
from signalbox.criticality.service.silence import LATENESS

_UNITS = ((DAY, "d"), (HOUR, "h"), (MINUTE, "m"), (MICROSECONDS, "s"))


def register(tx: Connection, new: NewConsumer, *, actor: str, now: int, request_id: str | None = None) -> ConsumerOut:
    """Expect an app to ask, change how often, mute it or not; its silence counts from now on. A retired one is back.

    One that is silent stays so until it asks.
    """
    before = consumer_store.find_consumer(tx, new.app, new.signal)
    period = None if before is None else before.period
    if new.interval is not None:
        period = None if new.interval == NEVER else parse_span(new.interval)
    muted = new.muted if new.muted is not None else before is not None and before.muted
    watched = period is not None and not muted
    values: dict[str, Any] = {
        "period": period,
        "muted": muted,
        "registered_at": now if before is None or before.registered_at is None else before.registered_at,
        "retired_at": None,
    }
    if before is None or before.silent_since is None or not watched:  # asking ends an outage, other wishes do not
        values |= {"overdue_at": now + period if watched and period is not None else None, "silent_since": None}
    consumer_store.put_consumer(tx, new.app, new.signal, values)
    after = _known(tx, new.app, new.signal)
    _record(tx, "consumer.register", before, after, actor=actor, now=now, request_id=request_id)
    return read_consumer(tx, new.app, new.signal, now=now)


def retire(tx: Connection, app: str, name: str, *, actor: str, now: int, request_id: str | None = None) -> None:
    """Expect an app no more. It may go on asking.

    Raises:
        UnknownConsumerError: there is no such consumer.
    """
    before = _known(tx, app, name)
    values = {"retired_at": before.retired_at or now, "overdue_at": None, "silent_since": None}
    consumer_store.put_consumer(tx, app, name, values)
    _record(tx, "consumer.retire", before, _known(tx, app, name), actor=actor, now=now, request_id=request_id)


def read_consumer(tx: Connection, app: str, name: str, *, now: int) -> ConsumerOut:
    """One consumer.

    Raises:
        UnknownConsumerError: there is no such consumer.
    """
    found = _known(tx, app, name)
    current = {each.signal: each for each in store.find_signals(tx, names=[name])}
    return _consumer_out(found, current.get(name), now)


def list_consumers(
    tx: Connection, *, name: str | None, state: State | None, cursor: str | None, limit: int, now: int
) -> Page[ConsumerOut]:
    """Consumers, newest first.

    Raises:
        InvalidCursorError: the cursor was not made by this list.
    """
    before = None if cursor is None else decode_cursor(cursor)
    rows = consumer_store.find_consumers(tx, name=name, state=state, before=before, limit=limit + 1)
    page = to_page(rows, limit, lambda row: row.id)
    current = {each.signal: each for each in store.find_signals(tx, names={row.signal for row in page.items})}
    return Page([_consumer_out(row, current.get(row.signal), now) for row in page.items], page.next_cursor)


def list_signals(tx: Connection) -> list[SignalOut]:
    """What every signal stands at, by name."""
    return [SignalOut.model_validate(_shared_fields(each)) for each in store.find_signals(tx)]


def list_changes(tx: Connection, name: str, *, cursor: str | None, limit: int) -> Page[ChangeOut]:
    """Reports of a signal, newest first.

    Raises:
        InvalidSignalError: the signal's name is none.
        InvalidCursorError: the cursor was not made by this list.
    """
    before = None if cursor is None else decode_cursor(cursor)
    rows = store.find_changes(tx, check_signal(name), before=before, limit=limit + 1)
    page = to_page(rows, limit, lambda row: row.revision)
    return Page([_change_out(row) for row in page.items], page.next_cursor)


def list_asks(tx: Connection, *, app: str | None, name: str | None, cursor: str | None, limit: int) -> Page[AsksOut]:
    """Minutes in which somebody asked, newest first.

    Raises:
        InvalidCursorError: the cursor was not made by this list.
    """
    before = None if cursor is None else decode_cursor(cursor)
    page = to_page(store.find_asks(tx, app=app, name=name, before=before, limit=limit + 1), limit, lambda row: row[0])
    return Page([AsksOut(minute=to_datetime(minute), asks=asks) for minute, asks in page.items], page.next_cursor)


def to_span(micros: int) -> str:
    """Microseconds as a span is written in settings, such as ``5m``; of whole seconds."""
    size, unit = next((size, unit) for size, unit in _UNITS if micros % size == 0)
    return f"{micros // size}{unit}"


def _known(tx: Connection, app: str, name: str) -> Consumer:
    found = consumer_store.find_consumer(tx, app, name)
    if found is None:
        msg = f"the app {app!r} was never registered for the signal {name!r}, and never asked for it"
        raise UnknownConsumerError(msg)
    return found


def _record(
    tx: Connection,
    action: str,
    before: Consumer | None,
    after: Consumer,
    *,
    actor: str,
    now: int,
    request_id: str | None,
) -> None:
    said = None if before is None else _audited(before)
    target = f"consumer:{after.app}/{after.signal}"
    audit.record(
        tx, actor=actor, action=action, target=target, before=said, after=_audited(after), at=now, request_id=request_id
    )


def _audited(row: Consumer) -> dict[str, Any]:
    return {
        "interval": None if row.period is None else to_span(row.period),
        "muted": row.muted,
        "retired": row.retired_at is not None,
    }


def _consumer_out(row: Consumer, current: Current | None, now: int) -> ConsumerOut:
    behind = current is not None and row.delivered < current.revision
    return ConsumerOut(
        app=row.app,
        signal=row.signal,
        state=state_of(row),
        interval=None if row.period is None else to_span(row.period),
        overdue=row.overdue_at is not None and row.overdue_at <= now - LATENESS,
        requests=row.requests,
        first_asked_at=_moment(row.first_asked_at),
        last_asked_at=_moment(row.last_asked_at),
        silent_since=_moment(row.silent_since),
        revision=row.delivered or None,
        delivered_at=_moment(row.delivered_at),
        acknowledged=row.acknowledged or None,
        acknowledged_at=_moment(row.acknowledged_at),
        lag=current.revision - row.delivered if current is not None and behind else 0,
        lag_seconds=max(0, now - current.received_at) / MICROSECONDS if current is not None and behind else 0.0,
        registered_at=_moment(row.registered_at),
        retired_at=_moment(row.retired_at),
    )


def _change_out(row: Change) -> ChangeOut:
    return ChangeOut.model_validate({**_shared_fields(row), "accepted": row.why is None, "why": row.why})


def _shared_fields(row: Change | Current) -> dict[str, Any]:
    return {
        "signal": row.signal,
        "level": row.level,
        "revision": row.revision,
        "changed_at": to_datetime(row.changed_at),
        "received_at": to_datetime(row.received_at),
        "set_by": row.set_by,
        "reason": row.reason,
    }


def _moment(micros: int | None) -> Any:
    return None if micros is None else to_datetime(micros)
