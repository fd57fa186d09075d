"""The doors that messages come in by: ``POST /api/assistance`` and ``POST /api/hooks/{name}``."""

from typing import Any

from sqlalchemy import Connection

from signalbox.auth.doors import Accepted, Asked, Door, Parameter
from signalbox.auth.principal import Principal
from signalbox.notifications import hooks, intake
from signalbox.notifications.runtime import NotificationRuntime
from signalbox.notifications.schemas import AssistanceIn, AssistanceOut, NewMessage


def build_doors(runtime: NotificationRuntime) -> list[Door[Any]]:
    """What accepts messages."""
    return [_assistance(runtime), _hook(runtime)]


def _assistance(runtime: NotificationRuntime) -> Door[AssistanceIn]:
    def handle(tx: Connection, body: AssistanceIn, caller: Principal, now: int) -> Accepted:
        new = NewMessage(
            intake.fold_topic(body.topic),
            body.description,
            "api",
            severity=body.severity,
            app=caller.app,
            customer=body.customer,
            metadata=body.metadata,
            dedup_key=body.dedup_key,
        )
        return _to_answer(intake.accept(tx, new, routing=runtime.routing, now=now, handover=runtime.handover))

    return Door(
        method="POST",
        path="/api/assistance",
        scope="assistance",
        body=AssistanceIn,
        handle=handle,
        summary="Ask for assistance",
        answer=AssistanceOut,
        idempotent=True,
        status=202,
        responses={400: "The description is empty, or no route takes the topic: the answer names those that are known"},
        tags=("notifications",),
    )


def _hook(runtime: NotificationRuntime) -> Door[Any]:
    async def prepare(asked: Asked) -> hooks.HookCall:
        hook = runtime.hook(asked.path["name"])
        return hooks.read_call(hook, asked.body, headers=asked.headers, query=asked.query, now=asked.now)

    def handle(tx: Connection, call: hooks.HookCall, _caller: Principal, now: int) -> Accepted:
        return _to_answer(hooks.accept_call(tx, call, routing=runtime.routing, now=now, handover=runtime.handover))

    return Door(
        method="POST",
        path="/api/hooks/{name}",
        scope=None,
        body=bytes,
        handle=handle,
        prepare=prepare,
        summary="Call an inbound webhook of the settings",
        answer=AssistanceOut,
        parameters=[
            Parameter("X-Hook-Token", "header", "The token of a hook with auth = token"),
            Parameter("token", "query", "The same, for senders that can set no header"),
            Parameter("webhook-signature", "header", "With webhook-id and webhook-timestamp: auth = standard"),
            Parameter("X-Hub-Signature-256", "header", "auth = github"),
        ],
        status=202,
        responses={
            400: "The body lacks what the settings take from it, or no route takes the topic",
            401: "No token or signature",
            403: "The token or signature is wrong, or the request too old",
            404: "There is no such hook",
        },
        tags=("notifications",),
    )


def _to_answer(accepted: intake.Accepted) -> Accepted:
    body = AssistanceOut(accepted.id, "accepted", accepted.topic, accepted.channels)
    return Accepted(202, body, location=f"/api/notifications/{accepted.id}")
