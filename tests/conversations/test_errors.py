from signalbox.conversations.errors import InvalidQueryError


def test_a_wrong_parameter_is_named() -> None:
    error = InvalidQueryError("is a number", field="page")
    assert [(fault.where, fault.message) for fault in error.faults] == [("page", "is a number")]
