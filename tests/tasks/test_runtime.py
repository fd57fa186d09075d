"""What tasks keep in memory."""

from signalbox.infra.context import Context
from signalbox.tasks.runtime import TasksRuntime
from signalbox.tasks.settings import TasksSettings


async def test_providers_are_made_from_the_settings(context: Context) -> None:
    acme = {
        "name": "acme",
        "kind": "http-json",
        "list_url": "http://127.0.0.1:1/tasks",
        "poll_interval": 3,
        "limits": ["50/30s"],
    }
    settings = TasksSettings.model_validate({"providers": [acme], "default_provider": "acme"})
    runtime = TasksRuntime(context, settings)
    await runtime.open()
    assert list(runtime.providers) == ["acme"]
    assert (runtime.desk.intervals, runtime.desk.default) == ({"acme": 3.0}, "acme")
    await runtime.close()


async def test_it_may_be_closed_before_it_was_opened(context: Context) -> None:
    await TasksRuntime(context, TasksSettings()).close()
