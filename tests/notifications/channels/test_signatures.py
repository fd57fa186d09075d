import base64

import pytest

from signalbox.core.errors import InvalidError
from signalbox.notifications.channels.signatures import signature, signature_headers, signing_key

# The example of the Standard Webhooks libraries.
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
ID, TIMESTAMP, BODY = "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, b'{"test": 2432232314}'


def test_the_signature_of_the_known_example() -> None:
    made = signature(signing_key(SECRET), webhook_id=ID, timestamp=TIMESTAMP, body=BODY)
    assert made == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_each_key_signs() -> None:
    keys = [b"new", b"old"]
    headers = dict(signature_headers(keys, webhook_id=ID, timestamp=TIMESTAMP, body=BODY))
    one, other = (signature(key, webhook_id=ID, timestamp=TIMESTAMP, body=BODY) for key in keys)
    assert headers == {
        b"webhook-id": ID.encode(),
        b"webhook-timestamp": b"1614265330",
        b"webhook-signature": f"{one} {other}".encode(),
    }


def test_without_keys_there_is_no_signature() -> None:
    headers = dict(signature_headers([], webhook_id=ID, timestamp=TIMESTAMP, body=BODY))
    assert sorted(headers) == [b"webhook-id", b"webhook-timestamp"]


def test_keys() -> None:
    assert signing_key("whsec_" + base64.b64encode(b"\x00key").decode()) == b"\x00key"
    assert signing_key("any words") == b"any words"
    with pytest.raises(InvalidError, match="base64"):
        signing_key("whsec_***")
