import msgspec
import pytest

from signalbox.tasks.schemas import DEEPEST, LARGEST_ID, NewTask, Task, to_out, to_text

ROW = Task(1, "shop", "", "Not Started", "queued", None, None, None, None, "r", '{"a":"\\u0000"}', 0, 7, 5, 6)


def test_a_task_without_a_provider_shows_none_and_its_payload_as_it_came() -> None:
    out = to_out(ROW)
    assert (out.provider, out.payload) == (None, {"a": "\0"})
    assert out.next_attempt_at is not None
    assert to_out(ROW._replace(phase="submitted")).next_attempt_at is None


@pytest.mark.parametrize(
    "body", ['{"id": 0}', f'{{"id": {LARGEST_ID + 1}}}', '{"id": true}', '{"status": "done"}', '{"payload": []}']
)
def test_what_is_no_task_is_refused(body: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(body, type=NewTask)


@pytest.mark.parametrize(("opening", "closing"), [('{"a":', "}"), ("[", "]")])
def test_a_payload_has_so_many_levels_at_most(opening: str, closing: str) -> None:
    def nested(levels: int) -> str:
        return f'{{"payload": {{"a": {opening * levels}1{closing * levels}}}}}'

    assert msgspec.json.decode(nested(DEEPEST - 1), type=NewTask).payload
    with pytest.raises(msgspec.ValidationError, match="nested more than 100 levels"):
        msgspec.json.decode(nested(DEEPEST), type=NewTask)


def test_texts_are_made_fit_for_databases() -> None:
    assert to_text("a\0b\ud800c" + "d" * 10, 7) == "a\ufffdb?cdd"
