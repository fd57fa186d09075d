"""System: what runs here, and with which settings."""

from itertools import groupby

from starlette.responses import Response

from signalbox.console.page import Page, Route
from signalbox.console.services import Setting
from signalbox.console.visit import Visit
from signalbox.ops.versions import python_version, read_database


async def show(visit: Visit) -> Response:
    """Versions for everybody, settings for managers: they name hosts and people."""
    context = visit.services.context
    main = await context.db.read(read_database, history="main")
    calls = await context.calls_db.read(read_database, history="calls")
    every = visit.query.get("show") == "all"
    settings = visit.services.settings() if visit.is_manager else []
    shown = [each for each in settings if every or not each.default]
    return visit.render(
        "system/index.html",
        main=main,
        calls=calls,
        python=python_version(),
        groups=grouped(shown),
        every=every,
        left_out=len(settings) - len(shown),
    )


def grouped(settings: list[Setting]) -> list[tuple[str, list[Setting]]]:
    """Settings by the table that they stand in; those outside of all come first, under the name ``hub``."""
    found = [(name, list(each)) for name, each in groupby(settings, key=_table_of)]
    top = [setting for name, each in found if name == "hub" for setting in each]
    return [*([("hub", top)] if top else []), *((name, each) for name, each in found if name != "hub")]


def _table_of(setting: Setting) -> str:
    table = setting.name.partition(".")[0].partition("[")[0]
    return "hub" if table == setting.name else table


PAGE = Page(
    name="system",
    path="/admin/system",
    title="System",
    icon="settings",
    group="Administration",
    routes=(Route("/admin/system", show),),
)
