import pytest
from pydantic import ValidationError

from signalbox.tasks.settings import TasksSettings

ACME = {"name": "acme", "kind": "http-json", "list_url": "http://127.0.0.1:1/tasks"}


def test_without_settings_tasks_are_tracked_only() -> None:
    settings = TasksSettings()
    assert (settings.providers, settings.default_provider) == ([], None)


def test_providers_are_of_a_known_kind() -> None:
    settings = TasksSettings.model_validate({"providers": [ACME], "default_provider": "acme"})
    assert settings.providers[0].name == "acme"
    with pytest.raises(ValidationError, match="known kinds are"):
        TasksSettings.model_validate({"providers": [{**ACME, "kind": "carrier-pigeon"}]})


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"providers": [ACME, ACME]}, "two providers have the name acme"),
        ({"default_provider": "emca"}, "is none of the providers"),
        ({"max_age": "soon"}, "not a span of time"),
        ({"concurrency": 0}, "greater than or equal to 1"),
        ({"retries": 3}, "Extra inputs"),
    ],
)
def test_wrong_settings_are_refused(given: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        TasksSettings.model_validate(given)
