"""A report as one HTML page that needs nothing besides itself."""

from collections.abc import Sequence
from html import escape
from typing import Any, Final
from zoneinfo import ZoneInfo

from signalbox.grid import plots
from signalbox.grid.schemas import ReportDetail

_COLUMNS: Final = (
    ("day", "Day"),
    ("component_type", "Components"),
    ("avg_value", "Average"),
    ("min_value", "Lowest"),
    ("max_value", "Highest"),
    ("stddev", "Deviation"),
    ("count", "Readings"),
    ("coverage", "Coverage"),
)

_LIGHT: Final = "--bg:#f6f7f9;--card:#fff;--text:#1b1f24;--dim:#57606a;--edge:#dfe4ea;--accent:#2563ab"
_DARK: Final = "--bg:#12161b;--card:#1a2027;--text:#e6ebf0;--dim:#9aa7b4;--edge:#2a323c;--accent:#6cb0f5"

_STYLE: Final = f"""
:root{{color-scheme:light dark;{_LIGHT}}}
*{{box-sizing:border-box}}
body{{margin:0;background:var(--bg);color:var(--text);font:15px/1.55 system-ui,sans-serif}}
main{{max-width:62rem;margin:0 auto;padding:2.5rem 1.25rem 3rem}}
header{{margin-bottom:1.75rem;border-left:4px solid var(--accent);padding-left:1rem}}
h1{{margin:0;font-size:1.75rem;line-height:1.25;overflow-wrap:anywhere}}
h2{{margin:0 0 .75rem;font-size:1.05rem}}
.dim{{color:var(--dim);margin:.25rem 0 0}}
section{{background:var(--card);border:1px solid var(--edge);border-radius:10px;padding:1.25rem;margin:0 0 1.25rem}}
.facts{{display:grid;grid-template-columns:repeat(auto-fit,minmax(9rem,1fr));gap:1rem;margin:0}}
.facts dt{{color:var(--dim);font-size:.8rem}}
.facts dd{{margin:0;font-size:1.35rem;font-weight:600;font-variant-numeric:tabular-nums}}
.key{{display:flex;flex-wrap:wrap;gap:.25rem 1.25rem;margin:0 0 .5rem;padding:0;list-style:none;font-size:.85rem}}
.key svg{{display:inline-block;width:.8rem;height:.8rem;margin-right:.4rem;vertical-align:-1px}}
details{{margin-top:.75rem}}summary{{cursor:pointer;color:var(--accent);font-size:.9rem}}
.scroll{{overflow-x:auto}}.wide .plot{{min-width:34rem}}
.columns{{display:grid;grid-template-columns:repeat(auto-fit,minmax(17rem,1fr));gap:1.25rem;margin:0 0 1.25rem}}
.columns section{{margin:0}}
table{{border-collapse:collapse;width:100%;margin-top:.5rem;font-size:.85rem}}
th,td{{padding:.35rem .75rem;border-bottom:1px solid var(--edge);text-align:left;white-space:nowrap}}
th{{color:var(--dim);font-weight:500}}
.n{{text-align:right;font-variant-numeric:tabular-nums}}
.made dl{{display:grid;grid-template-columns:max-content 1fr;gap:.3rem 1.25rem;margin:0;font-size:.9rem}}
.made dt{{color:var(--dim)}}.made dd{{margin:0;overflow-wrap:anywhere}}
{plots.STYLE.strip()}
@media(prefers-color-scheme:dark){{:root{{{_DARK}}}{plots.DARK.strip()}}}
@media print{{body{{background:none}}section{{break-inside:avoid}}}}
"""


def to_page(report: ReportDetail, result: dict[str, Any]) -> str:
    """The page: key figures, a plot for each measurement type with its days as a table, and how it was made."""
    title = escape(report.name or f"Report {report.id}")
    averages = result["daily_averages"]
    parts = [_header(title, report), _facts(result), _key_figures(result["summary"])]
    kinds = dict.fromkeys(row["measurement_type"] for row in averages)
    parts += [_measured(kind, [row for row in averages if row["measurement_type"] == kind]) for kind in kinds]
    if not averages:
        parts.append("<section><h2>Readings</h2><p>There are no readings in this period.</p></section>")
    parts.append(_made(report, result["provenance"]))
    head = '<meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">'
    head += f"<title>{title}</title><style>{_STYLE}</style>"
    return f'<!doctype html>\n<html lang="en"><head>{head}</head>\n<body><main>\n{chr(10).join(parts)}\n</main></body></html>\n'


def _header(title: str, report: ReportDetail) -> str:
    zone = ZoneInfo(report.timezone)
    first, last = (f"{moment.astimezone(zone):%Y-%m-%d %H:%M}" for moment in (report.start_date, report.end_date))
    period = f"{first} to {last}, {report.timezone}"
    return f'<header><h1>{title}</h1><p class="dim">{escape(period)}</p></header>'


def _facts(result: dict[str, Any]) -> str:
    averages, summary = result["daily_averages"], result["summary"]
    days = len({row["day"] for row in averages})
    facts = [
        ("Components", f"{sum(row['count'] for row in summary['components_by_type']):,}"),
        ("Readings", f"{result['provenance']['readings']:,}"),
        ("Days with readings", f"{days:,}"),
    ]
    if averages:
        facts.append(("Hours with readings", f"{sum(row['coverage'] for row in averages) / len(averages):.1%}"))
    inner = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(text)}</dd></div>" for name, text in facts)
    return f'<section><dl class="facts">{inner}</dl></section>'


def _key_figures(summary: dict[str, Any]) -> str:
    """Bars: how many components, how much capacity, how much line; what there is none of is left out."""
    counts = [(row["component_type"].title(), float(row["count"])) for row in summary["components_by_type"]]
    plans = [
        ("Components", counts, ""),
        (
            "Transformer capacity",
            _by_voltage(summary["transformer_capacity_by_voltage"], "total_capacity_mva"),
            "MVA",
        ),
        ("Line length", _by_voltage(summary["line_length_by_voltage"], "total_length_km"), "km"),
    ]
    drawn = (
        f"<section><h2>{escape(name)}</h2>{plots.draw_bars(bars, unit=unit, label=name)}</section>"
        for name, bars, unit in plans
        if bars
    )
    return f'<div class="columns">{"".join(drawn)}</div>'


def _by_voltage(rows: Sequence[dict[str, Any]], field: str) -> list[tuple[str, float]]:
    return [(f"{row['voltage_kv']:g} kV", float(row[field])) for row in rows]


def _measured(kind: str, rows: Sequence[dict[str, Any]]) -> str:
    title = kind.title()
    plot = plots.draw_days(rows, label=f"{title}: daily averages, and the range from the lowest to the highest reading")
    table = f"<details><summary>The days as a table</summary>{_table(rows)}</details>"
    head = f"<h2>{escape(title)}, by day</h2>{_key(plots.kinds_of(rows))}"
    return f'<section>{head}<div class="scroll wide" tabindex="0">{plot}</div>{table}</section>'


def _key(kinds: Sequence[str]) -> str:
    inner = "".join(
        f'<li><svg class="plot" viewBox="0 0 10 10" aria-hidden="true"><rect class="bar {plots.series_class(place)}" '
        f'width="10" height="10" rx="2"/></svg>{escape(kind.title())}</li>'
        for place, kind in enumerate(kinds)
    )
    return f'<ul class="key">{inner}</ul>'


def _table(rows: Sequence[dict[str, Any]]) -> str:
    head = "".join(f'<th scope="col"{_class(rows[0][name])}>{label}</th>' for name, label in _COLUMNS)
    lines = ["".join(f"<td{_class(row[name])}>{_cell(name, row[name])}</td>" for name, _ in _COLUMNS) for row in rows]
    body = "".join(f"<tr>{line}</tr>" for line in lines)
    return f'<div class="scroll" tabindex="0"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _class(value: Any) -> str:
    return "" if isinstance(value, str) else ' class="n"'


def _cell(name: str, value: Any) -> str:
    if name == "coverage":
        return f"{value:.1%}"
    return f"{value:,.6g}" if isinstance(value, float) else escape(f"{value:,}" if isinstance(value, int) else value)


def _made(report: ReportDetail, made: dict[str, Any]) -> str:
    """Where the figures come from."""
    rows = {
        "Report": f"{report.id}, ordered by {report.created_by}",
        "Period": f"{made['start']} to {made['end']} (not included)",
        "Time zone": made["timezone"],
        "Readings": f"{made['readings']:,}",
        "Data version": made["data_version"],
    }
    if report.ended_at is not None:
        rows["Made"] = f"{report.ended_at:%Y-%m-%d %H:%M} UTC in {made.get('duration_ms', 0):,} ms"
    inner = "".join(f"<dt>{escape(name)}</dt><dd>{escape(str(text))}</dd>" for name, text in rows.items())
    return f'<section class="made"><h2>How it was made</h2><dl>{inner}</dl></section>'
