import pytest

from signalbox.tasks.providers.statuses import StatusWords

WORDS = StatusWords({"done": "Completed", "FAILED": "Error", "In Progress": "Not Started"})


@pytest.mark.parametrize(
    ("word", "status"),
    [
        ("Not Started", "Not Started"),
        ("completed", "Completed"),
        ("ERROR", "Error"),
        ("not-started", "Not Started"),
        ("in_progress", "In Progress"),
        (" In  Progress ", "In Progress"),
        ("done", "Completed"),
        ("FAILED", "Error"),
        ("In Progress", "Not Started"),
        ("failed", "failed"),
        ("Paused", "Paused"),
        ("Pau\x00sed\n", "Pau sed"),
        ("x" * 200, "x" * 99 + "…"),
    ],
)
def test_words_are_translated_and_unknown_ones_kept(word: str, status: str) -> None:
    assert WORDS.translate(word) == status
