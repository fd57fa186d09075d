"""The simulated receiver tells genuine webhooks from forged ones, by the rules of Standard Webhooks."""

import base64
import hashlib
import hmac
import time

import pytest

from signalbox.sandbox.receiver import ReceiverApp
from signalbox.sandbox.scripted import HANG, Received

KEY = b"a key of the sender"
SECRET = "whsec_" + base64.b64encode(KEY).decode()
BODY = b'{"a":1}'


def signed(key: bytes = KEY, *, stamp: int | None = None, body: bytes = BODY, more: str = "") -> Received:
    stamp = int(time.time()) if stamp is None else stamp
    digest = hmac.digest(key, b"msg_1." + str(stamp).encode() + b"." + BODY, hashlib.sha256)
    signature = f"{more}v1,{base64.b64encode(digest).decode()}"
    headers = {"webhook-id": "msg_1", "webhook-timestamp": str(stamp), "webhook-signature": signature}
    return Received("POST", "/hooks", headers, body, 0.0)


def test_a_genuine_webhook_is_taken_and_repeats_are_counted() -> None:
    app = ReceiverApp([SECRET])
    assert [app.answer(signed()).status for _ in range(3)] == [204, 204, 204]
    assert (app.ids, app.repeats, app.forged) == ({"msg_1": 3}, 2, 0)


def test_one_of_several_signatures_is_enough() -> None:
    assert ReceiverApp(["plain text", SECRET]).answer(signed(more="v1,AAAA v2,xyz ")).status == 204
    assert ReceiverApp(["plain text"]).answer(signed(b"plain text")).status == 204


@pytest.mark.parametrize(
    "request_",
    [
        signed(b"another key"),
        signed(body=BODY + b" "),
        signed(stamp=1_000_000_000),
        Received("POST", "/hooks", {}, BODY, 0.0),
        Received("POST", "/hooks", {"webhook-timestamp": "²"}, BODY, 0.0),
    ],
)
def test_forged_and_stale_ones_are_refused(request_: Received) -> None:
    app = ReceiverApp([SECRET])
    assert app.answer(request_).status == 401
    assert (app.forged, app.repeats) == (1, 0)


def test_without_secrets_all_is_taken() -> None:
    assert ReceiverApp().answer(Received("POST", "/", {}, b"", 0.0)).status == 204


def test_paths_that_answer_as_asked() -> None:
    app = ReceiverApp()
    assert app.answer(Received("POST", "/status/410/x", {}, b"", 0.0)).status == 410
    assert app.answer(Received("POST", "/hang/3", {}, b"", 0.0)) is HANG
    assert not app.ids
