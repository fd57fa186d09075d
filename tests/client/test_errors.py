from signalbox.client.errors import ClientError, RefusedError, UnreachableError


def test_errors_say_what_to_do() -> None:
    assert UnreachableError("x", retry_after=3).retry_after == 3
    refused = RefusedError("no", status=422, code="wrong_level")
    assert (str(refused), refused.status, refused.code) == ("no", 422, "wrong_level")
    assert isinstance(refused, ClientError)
