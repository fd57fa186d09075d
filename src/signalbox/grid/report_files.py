"""Reports as files: CSV, Parquet, and one HTML page that needs nothing besides itself."""

from collections.abc import Sequence
from html import escape
from typing import Any, Final

from signalbox.grid.arrow import rows_to_parquet
from signalbox.grid.component_files import to_csv
from signalbox.grid.errors import ReportUnfinishedError
from signalbox.grid.plots import draw
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

_STYLE: Final = """body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1b1f24}
table{border-collapse:collapse;margin:1rem 0}td,th{padding:.2rem .8rem;border-bottom:1px solid #d5dae0;text-align:left}
td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}h1{margin-bottom:0}.note{color:#57606a}svg{max-width:100%}"""


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
    result = _result(report)
    title, made = escape(report.name or f"Report {report.id}"), result["provenance"]
    note = f"{made['start']} to {made['end']}, days of {made['timezone']}; {made['readings']:,} readings; "
    note += f"data version {made['data_version']}"
    parts = [f"<h1>{title}</h1>", f'<p class="note">{escape(note)}</p>', "<h2>Components</h2>"]
    parts += [_table(rows) for rows in result["summary"].values() if rows]
    averages = result["daily_averages"]
    for kind in dict.fromkeys(row["measurement_type"] for row in averages):
        rows = [row for row in averages if row["measurement_type"] == kind]
        parts += [f"<h2>{escape(kind.title())}</h2>", draw(rows), _table(rows)]
    if not averages:
        parts.append("<p>There are no readings in this period.</p>")
    head = f'<meta charset="utf-8"><title>{title}</title><style>{_STYLE}</style>'
    return f'<!doctype html>\n<html lang="en"><head>{head}</head><body>\n{chr(10).join(parts)}\n</body></html>\n'


def _table(rows: Sequence[dict[str, Any]]) -> str:
    names = list(rows[0])
    head = "".join(f"<th{_class(rows[0][name])}>{escape(name.replace('_', ' '))}</th>" for name in names)
    lines = ["".join(f"<td{_class(row[name])}>{_cell(row[name])}</td>" for name in names) for row in rows]
    return f"<table><tr>{head}</tr>" + "".join(f"<tr>{line}</tr>" for line in lines) + "</table>"


def _class(value: Any) -> str:
    return "" if isinstance(value, str) else ' class="n"'


def _cell(value: Any) -> str:
    return f"{value:,.6g}" if isinstance(value, float) else escape(str(value))


def _result(report: ReportDetail) -> dict[str, Any]:
    if report.result is None:
        msg = f"report {report.id} is {report.status}; it has no result"
        raise ReportUnfinishedError(msg)
    return report.result
