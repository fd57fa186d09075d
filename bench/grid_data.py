"""The readings that every store of ``grid.py`` gets: one a minute of three types from each component, as Parquet."""

from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

START: Final = 1_767_225_600_000_000
"""2026-01-01 UTC, in microseconds."""
MINUTE: Final = 60_000_000
TYPES: Final = ("VOLTAGE", "CURRENT", "POWER")
SCHEMA: Final = pa.schema(
    [
        ("component_id", pa.int64()),
        ("timestamp", pa.timestamp("us", "UTC")),
        ("value", pa.float64()),
        ("measurement_type", pa.dictionary(pa.int8(), pa.string())),
    ]
)


def write(path: Path, *, components: int, minutes: int) -> int:
    """Write the readings, by component, type and time; how many they are."""
    dice = np.random.default_rng(1)
    at = pa.array(np.tile(START + np.arange(minutes) * MINUTE, len(TYPES))).cast(pa.timestamp("us", "UTC"))
    types = pa.DictionaryArray.from_arrays(np.repeat(np.arange(len(TYPES), dtype=np.int8), minutes), list(TYPES))
    with pq.ParquetWriter(path, SCHEMA) as writer:
        for number in range(1, components + 1):
            columns = [np.full(len(at), number), at, dice.normal(50, 10, len(at)), types]
            writer.write_table(pa.table(dict(zip(SCHEMA.names, columns, strict=True)), schema=SCHEMA))
    return components * minutes * len(TYPES)


def component(number: int) -> dict[str, Any]:
    """The component of an id, as the hub takes it; its type is one of three."""
    kinds = (
        {"component_type": "TRANSFORMER", "capacity_mva": 40, "voltage_kv": 132},
        {"component_type": "LINE", "length_km": 4, "voltage_kv": 132},
        {"component_type": "SWITCH", "status": "OPEN"},
    )
    return {"name": f"C{number}", "substation": "North", **kinds[number % len(kinds)]}
