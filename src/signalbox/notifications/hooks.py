"""Inbound webhooks: who may call, and how a message is made of a body that is not ours."""

import hashlib
import hmac
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

import msgspec
from sqlalchemy import Connection

from signalbox.core.nesting import DEEPEST, is_too_deep
from signalbox.core.times import MICROSECONDS, parse_span
from signalbox.notifications import marks, store
from signalbox.notifications.channels.signatures import signature, signing_key
from signalbox.notifications.errors import HookRefusedError, HookUnreadableError, HookUnsignedError
from signalbox.notifications.handover import Handover
from signalbox.notifications.intake import Accepted, accept, choose_routes, fold_topic, new_message_id, to_labels
from signalbox.notifications.routing import Routing, look_up
from signalbox.notifications.schemas import MAX_CUSTOMER, MAX_KEY, NewMessage
from signalbox.notifications.settings import HookSettings

TOKEN_HEADER = b"x-hook-token"

_SEVERITIES = {
    **dict.fromkeys(("debug", "info", "information", "notice", "low"), "info"),
    **dict.fromkeys(("warn", "warning", "medium"), "warning"),
    **dict.fromkeys(("error", "err", "high"), "error"),
    **dict.fromkeys(("critical", "crit", "fatal", "alert", "emergency", "urgent"), "critical"),
}
"""What others call our severities."""

_STAMP = re.compile(rb"[0-9]{1,11}")


@dataclass(frozen=True, slots=True)
class HookCall:
    """A request to a hook that has proved itself."""

    new: NewMessage
    receipt: str | None
    """What a repetition of the request would have too; None where repetitions cannot be told."""
    tolerance: int


def read_call(
    hook: HookSettings, body: bytes, *, headers: Sequence[tuple[bytes, bytes]], query: bytes, now: int
) -> HookCall:
    """Check who is calling, then take what the settings want out of the body.

    Raises:
        HookUnsignedError: there is no token or signature.
        HookRefusedError: it is wrong, or the request is too old.
        HookUnreadableError: the body is not JSON, or lacks the topic or the description.
        InvalidMessageError: the topic is too long.
    """
    given = dict(reversed(headers))  # of a header that stands there twice the first counts
    receipt = _CHECKS[hook.auth](hook, body, given, query, now)
    return HookCall(to_message(hook, _parse(body)), receipt, parse_span(hook.tolerance))


def accept_call(
    tx: Connection, call: HookCall, *, routing: Routing, now: int, handover: Handover | None = None
) -> Accepted:
    """Take in what a hook was called with; a repetition of a signed request makes no second message.

    Raises:
        UnknownTopicError, InvalidMessageError: as ``intake.accept``. Nothing was written.
    """
    if call.receipt is None:
        return accept(tx, call.new, routing=routing, now=now, handover=handover)
    choose_routes(routing, to_labels(call.new))
    # twice the tolerance: a request may be dated as far ahead as back, and is good until its date is too old
    id_, until = new_message_id(now), now + 2 * call.tolerance
    first = marks.take_mark(tx, call.new.source, call.receipt, until=until, message_id=id_, now=now)
    if first is not None:
        return Accepted(first, call.new.topic, store.find_channels(tx, first))
    return accept(tx, call.new, routing=routing, now=now, id_=id_, handover=handover)


def to_message(hook: HookSettings, document: Any) -> NewMessage:
    """The message that a body means, by the paths of the settings.

    Raises:
        HookUnreadableError: topic or description are not where they should be, or metadata is nested too deeply.
        InvalidMessageError: the topic is too long.
    """
    topic = _find(document, hook.topic_path) or hook.topic
    description = _find(document, hook.description_path)
    if not topic or not description:
        path = hook.description_path if topic else hook.topic_path
        msg = f"the body has no text at {path}"
        raise HookUnreadableError(msg)
    said = _find(document, hook.severity_path)
    metadata = {name: look_up(document, path) for name, path in hook.metadata.items()}
    if is_too_deep(metadata):
        msg = f"what the body has for the metadata is nested more than {DEEPEST} levels deep"
        raise HookUnreadableError(msg)
    return NewMessage(
        fold_topic(topic),
        description,
        f"hook:{hook.name}",
        severity=_SEVERITIES.get((said or "").strip().lower(), hook.severity),
        customer=_short(_find(document, hook.customer_path), MAX_CUSTOMER),
        metadata={name: value for name, value in metadata.items() if value is not None},
        dedup_key=_key(_find(document, hook.dedup_path)),
    )


# -- who is calling ---------------------------------------------------------------------------------------------------


def _check_token(
    hook: HookSettings, _body: bytes, headers: Mapping[bytes, bytes], query: bytes, _now: int
) -> str | None:
    bearer = headers.get(b"authorization", b"")
    given = headers.get(TOKEN_HEADER) or (bearer[7:] if bearer[:7].lower() == b"bearer " else b"")
    given = given.strip() or next(iter(parse_qs(query).get(b"token", [])), b"")
    if not given:
        msg = "this hook wants its token: in the header X-Hook-Token, as bearer token or as query parameter token"
        raise HookUnsignedError(msg)
    # digests: of texts that differ in length the comparison would tell the length
    if not _any_equal(_digest(given), [_digest(secret.reveal().encode()) for secret in hook.secrets]):
        msg = "the token of this hook is another"
        raise HookRefusedError(msg)
    return None


def _check_standard(
    hook: HookSettings, body: bytes, headers: Mapping[bytes, bytes], _query: bytes, now: int
) -> str | None:
    number, stamp, said = (headers.get(b"webhook-" + name, b"") for name in (b"id", b"timestamp", b"signature"))
    if not (number and stamp and said):
        msg = "this hook wants webhook-id, webhook-timestamp and webhook-signature (Standard Webhooks)"
        raise HookUnsignedError(msg)
    if _STAMP.fullmatch(stamp) is None or abs(now - int(stamp) * MICROSECONDS) > parse_span(hook.tolerance):
        msg = f"webhook-timestamp is further than {hook.tolerance} from now"
        raise HookRefusedError(msg)
    keys = [signing_key(secret.reveal()) for secret in hook.secrets]
    id_ = number.decode("latin-1")
    wanted = [signature(key, webhook_id=id_, timestamp=int(stamp), body=body).encode() for key in keys]
    if not any([_any_equal(each, wanted) for each in said.split()[:10]]):  # noqa: C419 - all, in constant time
        msg = "no signature of this request is right"
        raise HookRefusedError(msg)
    return _digest(number).hex()


def _check_github(
    hook: HookSettings, body: bytes, headers: Mapping[bytes, bytes], _query: bytes, _now: int
) -> str | None:
    said = headers.get(b"x-hub-signature-256", b"")
    if not said:
        msg = "this hook wants the header X-Hub-Signature-256"
        raise HookUnsignedError(msg)
    wanted = [
        b"sha256=" + hmac.new(secret.reveal().encode(), body, hashlib.sha256).hexdigest().encode()
        for secret in hook.secrets
    ]
    if not _any_equal(said, wanted):
        msg = "the signature of this request is wrong"
        raise HookRefusedError(msg)
    return _digest(body).hex()  # only the body is signed: whoever repeats it may give it another delivery id


_CHECKS = {"token": _check_token, "standard": _check_standard, "github": _check_github}


def _any_equal(given: bytes, wanted: Sequence[bytes]) -> bool:
    """Whether it is one of them, found out in a time that does not tell which or how nearly."""
    return any([hmac.compare_digest(given, each) for each in wanted])  # noqa: C419 - all are compared


def _digest(value: bytes) -> bytes:
    return hashlib.sha256(value).digest()


# -- what it says -----------------------------------------------------------------------------------------------------


def _parse(body: bytes) -> Any:
    """What the body says. Not by ``json``, which takes what cannot be kept or told: NaN, halves of surrogate pairs.

    Raises:
        HookUnreadableError: it is not JSON.
    """
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        msg = "the body is not JSON"
        raise HookUnreadableError(msg) from None


def _find(document: Any, path: str | None) -> str | None:
    """The text, number or truth value at a path; None where there is none, or it is empty."""
    found = None if path is None else look_up(document, path)
    if found is None or isinstance(found, (dict, list)):
        return None
    return (found if isinstance(found, str) else json.dumps(found)).strip() or None


def _short(text: str | None, longest: int) -> str | None:
    return None if text is None else text[:longest]


def _key(text: str | None) -> str | None:
    """A key as long as keys may be: of a longer one its digest, so that keys stay apart."""
    return text if text is None or len(text) <= MAX_KEY else _digest(text.encode()).hex()
