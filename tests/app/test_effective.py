from pathlib import Path

from signalbox.app.effective import list_settings, masked
from signalbox.app.load import Sources, load
from signalbox.console.services import Setting
from signalbox.core.logging import MASK


def test_what_was_set_is_told_from_defaults(tmp_path: Path) -> None:
    shown = {each.name: each for each in list_settings(load({"port": 9, "data_dir": tmp_path}, Sources()))}
    assert shown["port"] == Setting("port", "9", default=False, origin="command line: --port")
    assert shown["workers"] == Setting("workers", "1", default=True, origin="default")
    assert shown["retention.calls"] == Setting("retention.calls", '"7d"', default=True, origin="default")


def test_secrets_are_masked() -> None:
    settings = load(
        {
            "auth": {"jwt_key": "a-very-secret-key-of-32-characters!!"},
            "notifications": {
                "channels": [{"name": "chat", "kind": "slack", "webhook_url": "https://chat.test/T0/hidden"}]
            },
        },
        Sources(),
    )
    shown = {each.name: each.value for each in list_settings(settings)}
    assert "very-secret" not in str(shown)
    assert "hidden" not in str(shown)
    assert set(shown["auth.jwt_key"]) == {'"', "*"}
    assert shown["notifications.channels[0].name"] == '"chat"'


def test_what_may_be_a_secret_is_masked_too() -> None:
    provider = {
        "name": "netlab",
        "kind": "http-json",
        "list_url": "https://api.test/v1/tasks?code=hidden&sort=id",
        "item_url": "https://api.test/v1/tasks?api_key=hidden&of={id}",
        "headers": {"X-Api-Key": "hidden", "X-Signed": "Basic {secret.token}"},
        "submit_headers": {"X-From": "hidden"},
        "secrets": {"token": "hidden"},
    }
    upstream = {"name": "shop", "url": "http://shop.test/api"}
    settings = load({"tasks": {"providers": [provider]}, "gateway": {"upstreams": [upstream]}}, Sources())
    values = masked(settings)
    assert "hidden" not in str(values)
    (shown,) = values["tasks"]["providers"]
    assert shown["list_url"] == f"https://api.test/v1/tasks?code={MASK}&sort={MASK}"
    assert shown["item_url"] == f"https://api.test/v1/tasks?api_key={MASK}&of={{id}}"
    assert shown["headers"] == {"X-Api-Key": MASK, "X-Signed": "Basic {secret.token}"}
    assert shown["submit_headers"] == {"X-From": MASK}
    assert values["gateway"]["upstreams"][0]["url"] == "http://shop.test/api"
    assert "hidden" not in str(list_settings(settings))
