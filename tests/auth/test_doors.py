import pytest
import sqlalchemy as sa

from signalbox.auth.doors import Accepted, Asked, Door
from signalbox.auth.principal import Principal


def handle(_tx: sa.Connection, _body: None, _principal: Principal, _now: int) -> Accepted:
    return Accepted(204, None)


async def prepare(asked: Asked) -> None: ...


def make(*, guarded: bool, prepared: bool, idempotent: bool) -> Door[None]:
    return Door[None](
        method="POST",
        path="/a",
        scope="tasks:write" if guarded else None,
        body=None,
        handle=handle,
        summary="",
        answer=None,
        prepare=prepare if prepared else None,
        idempotent=idempotent,
    )


@pytest.mark.parametrize(("prepared", "idempotent"), [(False, False), (False, True), (True, True)])
def test_a_door_that_nobody_guards_is_refused(prepared: bool, idempotent: bool) -> None:
    with pytest.raises(TypeError, match="POST /a asks for no scope"):
        make(guarded=False, prepared=prepared, idempotent=idempotent)


@pytest.mark.parametrize(("guarded", "idempotent"), [(True, True), (True, False), (False, False)])
def test_all_other_doors_may_be(guarded: bool, idempotent: bool) -> None:
    assert make(guarded=guarded, prepared=True, idempotent=idempotent).method == "POST"
