"""A small power grid: two substations, what they measured in the past, and what they go on measuring."""

import asyncio
import contextlib
import random
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from signalbox.core.times import DAY, MICROSECONDS, MINUTE, to_rfc3339
from signalbox.grid.merging import Readings
from signalbox.grid.series import MeasurementType, to_series
from signalbox.infra.clock import Clock
from signalbox.infra.http import HttpClient, HttpClientError
from signalbox.sandbox.errands import post

Values = npt.NDArray[np.float64]
Times = npt.NDArray[np.int64]

COMPONENTS: Final[Sequence[dict[str, Any]]] = [
    {"component_type": "TRANSFORMER", "name": "T1", "substation": "Harbour", "capacity_mva": 63, "voltage_kv": 110},
    {"component_type": "TRANSFORMER", "name": "T2", "substation": "Harbour", "capacity_mva": 40, "voltage_kv": 110},
    {"component_type": "LINE", "name": "Dock feeder", "substation": "Harbour", "length_km": 4.2, "voltage_kv": 20},
    {"component_type": "LINE", "name": "Shipyard feeder", "substation": "Harbour", "length_km": 6.8, "voltage_kv": 20},
    {"component_type": "LINE", "name": "Harbour-Hill", "substation": "Harbour", "length_km": 18.5, "voltage_kv": 110},
    {"component_type": "SWITCH", "name": "Q1", "substation": "Harbour", "status": "CLOSED"},
    {"component_type": "TRANSFORMER", "name": "T1", "substation": "Hill", "capacity_mva": 40, "voltage_kv": 110},
    {"component_type": "LINE", "name": "Hospital feeder", "substation": "Hill", "length_km": 3.1, "voltage_kv": 20},
    {"component_type": "LINE", "name": "Village feeder", "substation": "Hill", "length_km": 9.4, "voltage_kv": 20},
    {"component_type": "LINE", "name": "Wind park", "substation": "Hill", "length_km": 12.0, "voltage_kv": 110},
    {"component_type": "SWITCH", "name": "Q1", "substation": "Hill", "status": "CLOSED"},
    {"component_type": "SWITCH", "name": "Q2", "substation": "Hill", "status": "OPEN"},
]
"""As an import takes them."""

SURGES: Final = "Dock feeder"
"""Whose power surges now and then, far beyond ``BOUND``."""

BOUND: Final = 55.0
"""Power that no line should carry; none but ``SURGES`` does."""

RULE: Final[dict[str, Any]] = {
    "name": "Overloaded line",
    "measurement_type": "POWER",
    "comparison": ">",
    "bound": BOUND,
    "clear": 50,
    "readings": 3,
    "component_type": "LINE",
    "severity": "warning",
}
"""A threshold rule, as the API takes it."""

STEP: Final = MINUTE
"""Between two readings of the past."""

_MEASURES: Final[dict[str, Sequence[MeasurementType]]] = {
    "TRANSFORMER": ("VOLTAGE", "POWER"),
    "LINE": ("VOLTAGE", "CURRENT", "POWER"),
    "SWITCH": ("CURRENT",),
}
_SURGE: Final = 1.9


class Meter(NamedTuple):
    """What is measured at one component."""

    component: int
    kind: MeasurementType
    usual: float
    """Its mean over a day."""
    surges: bool

    def read(self, at: Times, noise: np.random.Generator) -> Values:
        """What it shows at some times: low at night, high in the morning and in the evening, and never quite still."""
        hour = (at % DAY) / DAY * 24
        swing = 0.004 if self.kind == "VOLTAGE" else 0.22
        course = np.sin((hour - 8.5) / 24 * 2 * np.pi) + 0.45 * np.sin((hour - 4.5) / 12 * 2 * np.pi)
        values: Values = self.usual * (1 + swing * course / 1.45 + swing * 0.15 * noise.standard_normal(len(at)))
        return values


def meters(components: Sequence[int]) -> list[Meter]:
    """All meters; ``components`` has the id of each of ``COMPONENTS``."""
    found = []
    for place, (number, fields) in enumerate(zip(components, COMPONENTS, strict=True)):
        for kind in _MEASURES[fields["component_type"]]:
            usual = {"VOLTAGE": fields.get("voltage_kv", 20), "CURRENT": 180 + 25 * place, "POWER": 24 + 1.5 * place}
            surges = kind == "POWER" and fields["name"] == SURGES
            found.append(Meter(number, kind, float(usual[kind]), surges))
    return found


def past(found: Sequence[Meter], *, until: int, days: int) -> Iterator[Readings]:
    """What the meters showed minute by minute, a meter after the other, sorted; ``until`` is not included."""
    end = until // STEP * STEP
    at = np.arange(end - days * DAY, end, STEP, dtype=np.int64)
    noise = np.random.default_rng(7)
    for meter in sorted(found, key=lambda meter: to_series(meter.component, meter.kind)):
        series = np.full(len(at), to_series(meter.component, meter.kind), np.int64)
        yield Readings(series, at, meter.read(at, noise))


async def run_meters(
    url: str, *, client: HttpClient, token: str, found: Sequence[Meter], clock: Clock, pause: float = 2.0
) -> None:
    """Hand over what the meters show every ``pause`` seconds, until cancelled; there is a surge after a while, and again."""
    dice, noise = random.Random(4), np.random.default_rng(8)
    surge_from, surge_until = clock.now() + 20 * MICROSECONDS, clock.now() + 40 * MICROSECONDS
    while True:
        now = clock.now()
        if now > surge_until:
            surge_from = now + dice.randint(60, 180) * MICROSECONDS
            surge_until = surge_from + 25 * MICROSECONDS
        with contextlib.suppress(HttpClientError):  # the hub is ending, or busy: the next readings come soon
            body = shown(found, noise, now=now, surge=surge_from <= now)
            await post(client, f"{url}/api/measurements/batch", token, body)
        await asyncio.sleep(pause)


def shown(found: Sequence[Meter], noise: np.random.Generator, *, now: int, surge: bool) -> list[dict[str, Any]]:
    """What the meters show now, as the API takes it."""
    at = np.array([now], np.int64)
    rows = []
    for meter in found:
        value = float(meter.read(at, noise)[0])
        if surge and meter.surges:
            value = BOUND * _SURGE * (1 + 0.02 * float(noise.standard_normal()))
        row = {"component_id": meter.component, "value": round(value, 3), "measurement_type": meter.kind}
        rows.append({**row, "timestamp": to_rfc3339(now)})
    return rows
