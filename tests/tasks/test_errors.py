from signalbox.app.errors import problem
from signalbox.tasks.errors import DuplicateTaskError, TaskNotFoundError, UnknownProviderError


def test_errors_say_which_task_and_what_is_known() -> None:
    assert problem(TaskNotFoundError(9999))["detail"] == "Task with ID 9999 not found"
    assert problem(DuplicateTaskError(3))["status"] == 409
    found = problem(UnknownProviderError("x", ["b", "a"]))
    assert (found["status"], found["code"]) == (422, "unknown_provider")
    assert found["errors"][0]["field"] == "provider"
    assert "known are: a, b" in found["detail"]
