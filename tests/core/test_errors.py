import pytest

from signalbox.core import errors
from signalbox.core.errors import Fault, InvalidError, RetryableError, SettingsError, SignalboxError, UnprocessableError


def families() -> list[type[SignalboxError]]:
    return [each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, SignalboxError)]


def test_each_family_that_is_raised_has_a_code_of_its_own() -> None:
    codes = [family.code for family in families() if family is not RetryableError]
    assert len(codes) == len(set(codes)) == 13
    assert all(code.replace("_", "").isalpha() and code.islower() for code in codes)


def test_an_invalid_value_is_a_value_error_as_pydantic_expects() -> None:
    assert issubclass(InvalidError, ValueError)


def test_a_failure_that_may_pass_says_when_to_try_again() -> None:
    assert errors.UnavailableError("away").retry_after == 1.0
    assert errors.TooManyError("slowly", retry_after=30).retry_after == 30
    assert str(errors.TooManyError("slowly", retry_after=30)) == "slowly"


@pytest.mark.parametrize(
    ("fault", "text"),
    [
        (Fault("port", "must be a number"), "port: must be a number"),
        (Fault("port", "must be a number", "'x'"), "port: must be a number (given: 'x')"),
        (Fault("port", "must not be empty", ""), "port: must not be empty (given: )"),
    ],
)
def test_a_fault_names_place_rule_and_value(fault: Fault, text: str) -> None:
    assert str(fault) == text


def test_wrong_settings_are_all_told_one_a_line() -> None:
    faults = [Fault("port", "must be a number", "'x'"), Fault("host", "is missing")]
    error = SettingsError(faults)
    assert str(error) == "port: must be a number (given: 'x')\nhost: is missing"
    assert error.faults == tuple(faults)


def test_wrong_fields_are_told_without_what_they_held() -> None:
    error = UnprocessableError([Fault("name", "too short", "'a'"), Fault("age", "is missing")])
    assert str(error) == "name: too short; age: is missing"
    assert [fault.where for fault in error.faults] == ["name", "age"]
