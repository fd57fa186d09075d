"""Upkeep of the tables that belong to no feature of its own."""

from collections.abc import Callable

from sqlalchemy import Connection

from signalbox.app.settings import RetentionSettings
from signalbox.auth.sessions import sweep_sessions
from signalbox.core.times import parse_span
from signalbox.gateway import call_blocks, rollup
from signalbox.infra.context import Context
from signalbox.infra.events import delete_events
from signalbox.infra.idempotency import delete_answers
from signalbox.infra.jobs import State, delete_ended
from signalbox.infra.limits.database import delete_ended_permits
from signalbox.ops.sweeps import Sweep


def build_sweeps(context: Context, retention: Callable[[], RetentionSettings]) -> list[Sweep]:
    """Sweeps of calls, events and jobs; ``retention`` gives the settings in force."""

    def calls(tx: Connection, now: int, limit: int) -> int:
        kept = retention()
        return call_blocks.delete_calls(tx, older_than=now - parse_span(kept.calls), keep=kept.call_rows, limit=limit)

    def hours(tx: Connection, now: int, _limit: int) -> int:
        return rollup.roll_up_hours(tx, now=now, limit=1)  # thousands of rows: recorders wait meanwhile

    def events(tx: Connection, now: int, limit: int) -> int:
        return delete_events(tx, older_than=now - parse_span(retention().events), limit=limit)

    def answers(tx: Connection, now: int, limit: int) -> int:
        return delete_answers(tx, older_than=now - parse_span(retention().idempotency_keys), limit=limit)

    def done_jobs(tx: Connection, now: int, limit: int) -> int:
        return _delete_jobs(tx, "done", "cancelled", older_than=now - parse_span(retention().jobs), limit=limit)

    def dead_jobs(tx: Connection, now: int, limit: int) -> int:
        return _delete_jobs(tx, "dead", older_than=now - parse_span(retention().dead_jobs), limit=limit)

    return [
        Sweep("calls", context.calls_db, calls),
        Sweep("call_hour", context.calls_db, hours),
        Sweep("event", context.db, events),
        Sweep("idempotency_key", context.db, answers),
        Sweep("job", context.db, done_jobs),
        Sweep("dead_job", context.db, dead_jobs),
        Sweep("permit_log", context.db, delete_ended_permits),
        Sweep("session", context.db, sweep_sessions),
    ]


def _delete_jobs(tx: Connection, *states: State, older_than: int, limit: int) -> int:
    return sum(delete_ended(tx, state=state, older_than=older_than, limit=limit) for state in states)
