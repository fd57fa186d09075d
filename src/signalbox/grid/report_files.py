"""Reports as files: CSV, Parquet, and one HTML page that needs nothing besides itself."""

from typing import Any, Final

from signalbox.grid.arrow import rows_to_parquet
from signalbox.grid.component_files import to_csv
from signalbox.grid.errors import ReportUnfinishedError
from signalbox.grid.report_page import to_page
from signalbox.grid.schemas import ReportDetail

COLUMNS: Final = {
    "day": "string",
    "measurement_type": "string",
    "component_type": "string",
    "avg_value": "double",
    "count": "int64",
    "min_value": "double",
    "max_value": "double",
    "stddev": "double",
    "coverage": "double",
}


def report_to_csv(report: ReportDetail) -> str:
    """The daily averages, a line for each.

    Raises:
        ReportUnfinishedError: it has no result.
    """
    rows = _result(report)["daily_averages"]
    return to_csv(rows) if rows else ",".join(COLUMNS) + "\n"


def report_to_parquet(report: ReportDetail) -> bytes:
    """The daily averages as a Parquet file.

    Raises:
        ReportUnfinishedError: it has no result.
        MissingExtraError: PyArrow is not installed.
    """
    return rows_to_parquet(_result(report)["daily_averages"], COLUMNS)


def report_to_html(report: ReportDetail) -> str:
    """All of it as a page with plots.

    Raises:
        ReportUnfinishedError: it has no result.
    """
    return to_page(report, _result(report))


def _result(report: ReportDetail) -> dict[str, Any]:
    if report.result is None:
        msg = f"report {report.id} is {report.status}; it has no result"
        raise ReportUnfinishedError(msg)
    return report.result
