"""What a report says, worked out in one snapshot of the database."""

import hashlib
import json
import math
from collections import Counter, defaultdict
from collections.abc import Callable
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import numpy as np
from sqlalchemy import Connection

from signalbox.core.times import to_rfc3339
from signalbox.grid import store
from signalbox.grid.periods import Calendar
from signalbox.grid.report_parts import Kinds, Parts, merge_parts, no_parts, read_parts
from signalbox.grid.series import MEASUREMENT_TYPES

Progress = Callable[[float], None]


def build(tx: Connection, start: int, end: int, zone: ZoneInfo, *, progress: Progress) -> dict[str, Any]:
    """The report of a period [start, end), microseconds UTC, by the days of a zone. JSON-safe.

    ``progress`` is told from time to time how much is done, from 0 to 1.
    """
    rows = store.read_kinds(tx)
    calendar, kinds = Calendar(start, end, zone), Kinds((number, kind) for number, kind, _ in rows)
    parts, size = no_parts(), len(calendar) * kinds.groups
    for found in read_parts(tx, calendar, kinds):
        parts = merge_parts([parts, found], size)
        progress(_share_done(found, size))
    averages = _to_averages(parts, calendar, kinds.names)
    summary = _summary(rows)
    provenance = {
        "start": to_rfc3339(start),
        "end": to_rfc3339(end),
        "timezone": zone.key,
        "readings": sum(each["count"] for each in averages),
        "data_version": _version_of(summary, averages),
    }
    return {"summary": summary, "daily_averages": averages, "provenance": provenance}


def _version_of(summary: dict[str, Any], averages: list[dict[str, Any]]) -> str:
    """The same for the same data, however its sums were added up: the last digits of means depend on that."""
    rounded = [
        {**each, "avg_value": f"{each['avg_value']:.9g}", "stddev": f"{each['stddev']:.6g}"} for each in averages
    ]
    return hashlib.sha256(msgspec.json.encode([summary, rounded])).hexdigest()[:16]


def _share_done(found: Parts, size: int) -> float:
    return (int(found.group.max()) + 1) / size if len(found.group) else 0.0


def _to_averages(parts: Parts, calendar: Calendar, names: list[str]) -> list[dict[str, Any]]:
    """By day, type of measurement and type of component, whose names are sorted."""
    rest, measured = np.divmod(parts.group, len(MEASUREMENT_TYPES))
    place, of = np.divmod(rest, len(names))
    sums, kinds = parts.sums, np.array(MEASUREMENT_TYPES)[measured]
    columns = (
        np.array([day.isoformat() for day in calendar.names])[place],
        kinds,
        np.array(names, np.str_)[of],
        np.clip(sums.mean, sums.min, sums.max),  # rounding may carry the mean of nearly equal readings past them
        *(sums.n, sums.min, sums.max, np.sqrt(sums.m2 / sums.n)),
        np.array([hours.bit_count() for hours in parts.hours.tolist()]) / calendar.hours[place],
    )
    order = np.lexsort((of, kinds, place))
    return [
        {
            "day": day,
            "measurement_type": kind,
            "component_type": name,
            "avg_value": mean,
            "count": n,
            "min_value": low,
            "max_value": high,
            "stddev": deviation,
            "coverage": coverage,
        }
        for day, kind, name, mean, n, low, high, deviation, coverage in zip(
            *(column[order].tolist() for column in columns), strict=True
        )
    ]


def _summary(rows: list[tuple[int, str, str]]) -> dict[str, Any]:
    """Key figures over all components, with readings or without."""
    counts = Counter(kind for _, kind, _ in rows)
    return {
        "components_by_type": [{"component_type": kind, "count": counts[kind]} for kind in sorted(counts)],
        "transformer_capacity_by_voltage": _by_voltage(rows, "TRANSFORMER", "capacity_mva", "total_capacity_mva"),
        "line_length_by_voltage": _by_voltage(rows, "LINE", "length_km", "total_length_km"),
    }


def _by_voltage(rows: list[tuple[int, str, str]], kind: str, field: str, total: str) -> list[dict[str, float]]:
    found: dict[float, list[float]] = defaultdict(list)
    for _, of, text in rows:
        if of == kind:
            fields = json.loads(text)
            found[float(fields["voltage_kv"])].append(float(fields[field]))
    return [{"voltage_kv": level, total: math.fsum(found[level])} for level in sorted(found)]
