"""A simulated receiver of webhooks, which checks signatures as Standard Webhooks has it and knows what it got twice.

``/status/{code}/...`` answers with that status, ``/hang/...`` not at all, every other path with 204.
"""

import base64
import hashlib
import hmac
import time
from collections import Counter
from collections.abc import Sequence

from signalbox.sandbox.scripted import HANG, Received, Reply, ScriptedApp

TOLERANCE = 300
"""Seconds that a timestamp may differ from the receiver's clock."""
_ACCEPTED = Reply(204)


class ReceiverApp(ScriptedApp):
    """``ids`` counts how often each ``webhook-id`` was accepted; ``forged`` counts requests with no valid signature.

    ``secrets`` as the sender has them: base64 behind ``whsec_``, or text. Without any, signatures are not looked at.
    """

    def __init__(self, secrets: Sequence[str] = (), *, tolerance: float = TOLERANCE) -> None:
        super().__init__()
        self.ids: Counter[str] = Counter()
        self.forged = 0
        self._keys = [_key(secret) for secret in secrets]
        self._tolerance = tolerance

    @property
    def repeats(self) -> int:
        """Requests that brought what had been accepted before."""
        return sum(self.ids.values()) - len(self.ids)

    def answer(self, request: Received) -> Reply:
        """The receiver's answer."""
        first, _, rest = request.path.lstrip("/").partition("/")
        if first == "hang":
            return HANG
        if first == "status":
            return Reply(int(rest.partition("/")[0].partition("?")[0]))
        if self._keys and not self._is_signed(request):
            self.forged += 1
            return Reply(401, b"no valid signature")
        self.ids[request.headers.get("webhook-id", "")] += 1
        return _ACCEPTED

    def _is_signed(self, request: Received) -> bool:
        given = request.headers.get("webhook-signature", "").split(" ")
        number, stamp = request.headers.get("webhook-id", ""), request.headers.get("webhook-timestamp", "")
        if not stamp.isdecimal() or abs(time.time() - int(stamp)) > self._tolerance:
            return False
        signed = b".".join((number.encode(), stamp.encode(), request.body))
        wanted = [b"v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)) for key in self._keys]
        return any(hmac.compare_digest(each.encode(), one) for each in given for one in wanted)


def _key(secret: str) -> bytes:
    prefix, mark, rest = secret.partition("whsec_")
    return base64.b64decode(rest) if mark and not prefix else secret.encode()
