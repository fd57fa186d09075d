from signalbox.criticality.errors import InvalidQueryError, WrongLevelError, WrongRevisionError, WrongTimeError


def test_errors_name_their_field() -> None:
    level = WrongLevelError(6, lowest=1, highest=5)
    assert [str(each) for each in level.faults] == ["level: a level is a whole number from 1 to 5 (given: 6)"]
    assert WrongTimeError("x").faults[0].where == "changed_at"
    assert WrongRevisionError("x").faults[0].where == "revision"
    assert InvalidQueryError("x", field="wait").faults[0].where == "wait"
