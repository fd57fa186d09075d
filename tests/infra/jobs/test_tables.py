from typing import Any

import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from signalbox.infra.db.tables import main
from signalbox.infra.jobs.tables import job, schedule
from tests.support.databases import Place

OURS = {job.name, schedule.name}


def test_the_schema_is_what_the_model_says(place: Place) -> None:
    def ours(_object: Any, name: str | None, kind: str, _reflected: bool, _compare_to: Any) -> bool:
        return kind != "table" or name in OURS

    engine = place.engine()
    with engine.connect() as tx:
        options = {"version_table": "alembic_version_main", "include_object": ours, "compare_type": True}
        assert compare_metadata(MigrationContext.configure(tx, opts=options), main) == []
    engine.dispose()


def test_the_conditions_of_the_indexes_too(place: Place) -> None:
    """Comparing schemas does not compare conditions: made from the model, the same indexes come out."""
    engine = place.engine()
    with engine.connect() as tx:
        migrated = conditions(tx)
        tx.exec_driver_sql("DROP TABLE job")
        job.create(tx)
        assert conditions(tx) == migrated
        tx.rollback()
    engine.dispose()
    assert set(migrated) >= {"ix_job_waiting", "ix_job_running", "uq_job_live_key", "ix_job_ended"}
    assert all(migrated.values())


def conditions(tx: sa.Connection) -> dict[str | None, list[str]]:
    indexes = sa.inspect(tx).get_indexes("job")
    return {each["name"]: sorted(map(str, each.get("dialect_options", {}).values())) for each in indexes}
