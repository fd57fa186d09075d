"""Parquet and large CSV files, through PyArrow, which is an extra."""

import io
from typing import Any

from signalbox.grid.errors import MissingExtraError
from signalbox.grid.merging import Readings
from signalbox.grid.series import MEASUREMENT_TYPES, WIDTH

PARQUET = "application/vnd.apache.parquet"
"""Its registered media type."""


def load_pyarrow() -> Any:
    """The library.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        import pyarrow as pa  # noqa: PLC0415 - an extra, and slow to import
        import pyarrow.compute  # noqa: PLC0415
        import pyarrow.csv  # noqa: PLC0415
        import pyarrow.parquet  # noqa: PLC0415
    except ImportError:
        msg = "Parquet and CSV files need PyArrow, which is not installed; install signalbox[data]"
        raise MissingExtraError(msg) from None
    return pa


def readings_to_parquet(readings: Readings) -> bytes:
    """Readings as a Parquet file, as an import takes it.

    Raises:
        MissingExtraError: PyArrow is not installed.
    """
    pa = load_pyarrow()
    kinds = pa.DictionaryArray.from_arrays(pa.array(readings.series % WIDTH, pa.int8()), list(MEASUREMENT_TYPES))
    table = pa.table(
        {
            "component_id": readings.series // WIDTH,
            "timestamp": pa.array(readings.at).cast(pa.timestamp("us", "UTC")),
            "value": readings.value,
            "measurement_type": kinds,
        }
    )
    return table_to_parquet(table)


def rows_to_parquet(rows: list[dict[str, Any]], columns: dict[str, str]) -> bytes:
    """Rows as a Parquet file; ``columns`` names the type of each, as Arrow spells it.

    Raises:
        MissingExtraError: PyArrow is not installed.
    """
    pa = load_pyarrow()
    schema = pa.schema([(name, pa.type_for_alias(kind)) for name, kind in columns.items()])
    return table_to_parquet(pa.Table.from_pylist(rows, schema=schema))


def table_to_parquet(table: Any) -> bytes:
    """A table of PyArrow as a Parquet file."""
    target = io.BytesIO()
    load_pyarrow().parquet.write_table(table, target)
    return target.getvalue()
