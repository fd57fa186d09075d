from contextlib import closing

from signalbox.console.pages.grid_imports import CountedResults
from signalbox.grid.schemas import BatchResult, RowResult


def test_it_is_told_what_became_of_a_file() -> None:
    rejected = RowResult("rejected", "there is no component 9")
    with closing(CountedResults()) as results:
        results.add(BatchResult(2, 0, 0, [RowResult("inserted")] * 2))
        assert str(results) == "2 readings are taken, 0 were there already."
        results.add(BatchResult(0, 1, 2, [RowResult("duplicate"), rejected, rejected]))
        told = str(results)
    assert told == "2 readings are taken, 1 were there already, 2 are rejected: there is no component 9 (2)"
