"""Reports as files; more of it over HTTP."""

import io
from datetime import UTC, datetime
from typing import Any

import pyarrow.parquet as pq
import pytest

from signalbox.grid.errors import ReportUnfinishedError
from signalbox.grid.report_files import COLUMNS, report_to_csv, report_to_html, report_to_parquet
from signalbox.grid.schemas import ReportDetail

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
PROVENANCE = {"start": "a", "end": "b", "timezone": "UTC", "readings": 0, "data_version": "c"}
SUMMARY: dict[str, Any] = {
    "components_by_type": [],
    "transformer_capacity_by_voltage": [],
    "line_length_by_voltage": [],
}
EMPTY: dict[str, Any] = {"summary": SUMMARY, "daily_averages": [], "provenance": PROVENANCE}


def report(result: dict[str, Any] | None) -> ReportDetail:
    return ReportDetail(
        id=1,
        name=None,
        start_date=NOON,
        end_date=NOON,
        timezone="UTC",
        status="completed" if result else "pending",
        progress=1.0,
        error=None,
        created_by="test",
        created_at=NOON,
        ended_at=None,
        result=result,
    )


def test_an_empty_report_is_a_whole_file() -> None:
    assert report_to_csv(report(EMPTY)) == ",".join(COLUMNS) + "\n"
    assert pq.read_table(io.BytesIO(report_to_parquet(report(EMPTY)))).column_names == list(COLUMNS)
    assert "Report 1" in report_to_html(report(EMPTY))


def test_a_report_without_a_result_is_no_file() -> None:
    for write in (report_to_csv, report_to_html, report_to_parquet):
        with pytest.raises(ReportUnfinishedError, match="is pending"):
            write(report(None))
