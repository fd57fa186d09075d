"""Whatever changes by a request leaves the request's id in the trail."""

import json

from signalbox.auth.audit import AuditFilter, list_entries
from tests.console.conftest import SignedIn
from tests.support.hub import RunningHub

CHANGES: tuple[tuple[str, dict[str, str]], ...] = (
    ("/criticality/level", {"signal": "default", "level": "3"}),
    ("/criticality/consumers", {"app": "till", "interval": "5m"}),
    ("/criticality/consumers/mute", {"app": "till", "signal": "default", "muted": "true"}),
    ("/criticality/consumers/retire", {"app": "till", "signal": "default"}),
    ("/admin/users", {"name": "anna", "role": "user", "password": "a long password"}),
    ("/admin/users/anna/password", {"password": "another long password"}),
    ("/admin/users/anna/role", {"role": "manager"}),
    ("/admin/users/anna/disable", {}),
    ("/admin/users/anna/enable", {}),
    ("/admin/tokens", {"app": "shop", "scope": "gateway", "lifetime": ""}),
    ("/admin/tokens/1/revoke", {}),
)


async def without_request(hub: RunningHub, *, made: int) -> list[str]:
    """The entries besides those that tests made themselves, of which at least so many have an id."""
    entries = await hub.hub.context.db.read(list_entries, wanted=AuditFilter(), limit=100)
    assert sum(each.request_id is not None for each in entries) >= made
    return [each.action for each in entries if each.request_id is None and each.actor != "test"]


async def test_changes_in_the_console_have_it(hub: RunningHub, signed_in: SignedIn) -> None:
    manager = await signed_in("manager")
    before = await without_request(hub, made=0)
    for path, form in CHANGES:
        assert (await manager.act(path, htmx=True, **form)).status in (200, 204), path
    assert await without_request(hub, made=len(CHANGES)) == before


async def test_changes_by_the_api_have_it(hub: RunningHub) -> None:
    token = (await hub.token("manager", "criticality:read", app="till")).text.encode()
    headers = [(b"Token", token), (b"Content-Type", b"application/json"), (b"X-Request-ID", b"of-this-request")]
    component = {
        "id": 1,
        "component_type": "LINE",
        "name": "L1",
        "substation": "North",
        "length_km": 1,
        "voltage_kv": 1,
    }
    changes = (
        (b"/api/criticality/signals/default", {"level": 2}),
        (b"/api/criticality/consumers", {"app": "till", "interval": "5m"}),
        (b"/api/components/import", [component]),
        (b"/api/components/import", [{**component, "length_km": 2}]),
    )
    for path, content in changes:
        answer = await hub.ask(path, method=b"POST", headers=headers, body=json.dumps(content).encode())
        assert answer.status < 300, (path, answer.body)
    assert (await hub.ask(b"/api/criticality/consumers/till", method=b"DELETE", headers=headers)).status == 204
    entries = await hub.hub.context.db.read(list_entries, wanted=AuditFilter(actor="app:till"), limit=100)
    assert len(entries) >= 4
    assert {each.request_id for each in entries} == {"of-this-request"}
