from signalbox.infra.context import Context
from signalbox.ops.versions import python_version, read_database


async def test_the_database_says_what_it_is(context: Context) -> None:
    found = await context.db.read(read_database, history="main")
    name, number = found.name.split()
    assert name in ("SQLite", "PostgreSQL")
    assert number[0].isdecimal()
    assert found.revision is not None
    assert (await context.calls_db.read(read_database, history="calls")).name == found.name


def test_python_says_what_it_is() -> None:
    assert python_version().startswith("CPython 3.")
