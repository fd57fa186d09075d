from pathlib import Path

from signalbox.conversations import words
from signalbox.conversations.models import item_id
from signalbox.infra.context import Context
from tests.conversations.conftest import import_folder, write


async def test_words_are_found_whole_and_in_any_case(context: Context, tmp_path: Path) -> None:
    done = await import_folder(context, write(tmp_path / "d"))
    for wanted, expected in ((["drop", "students"], [4]), (["student"], []), (["many"], [2]), (["cora"], [])):
        assert await context.db.read(words.find, done.id, wanted) == expected
    assert await context.db.read(words.find, done.id + 1, ["many"]) == []


async def test_texts_are_cut_as_what_is_asked_for_is(context: Context) -> None:
    texts = ("AI/ML at example.com, 3.5%", "a@b.com", "snake_case e-mail \u00c4RGER", "12:30-14:00")
    await context.db.write(words.take_up, [(item_id(5, at), said) for at, said in enumerate(texts)])
    asked: tuple[tuple[str, list[int]], ...] = (
        ("ml", [0]), ("AI", [0]), ("example", [0]), ("com", [0, 1]), ("example.com", [0]), ("3.5", [0]), ("5", [0]),
        ("b", [1]), ("case", [2]), ("mail", [2]), ("\u00e4rger", [2]), ("14", [3]), ("AI/ML 12", []),
    )  # fmt: skip
    for text, expected in asked:
        assert await context.db.read(words.find, 5, words.cut(text)) == expected, text


def test_words_are_letters_and_digits_in_lower_case() -> None:
    assert words.cut("AI/ML_x at 3.5% \u00c4B") == ["ai", "ml", "x", "at", "3", "5", "\u00e4b"]
    assert words.cut(" ';-- ") == []


async def test_what_is_given_up_is_found_no_more(context: Context) -> None:
    said = [(item_id(5, at), f"word w{at} \u00c4RGER") for at in range(3_000)]
    await context.db.write(words.take_up, said)
    assert len(await context.db.read(words.find, 5, ["word", "\u00e4rger"])) == 3_000
    await context.db.write(words.give_up, said[1:])
    assert await context.db.read(words.find, 5, ["word"]) == [0]
    await context.db.write(words.take_up, [])
    await context.db.write(words.give_up, [])


async def test_words_of_many_transactions_are_merged(context: Context) -> None:
    for at in range(20):
        await context.db.write(words.take_up, [(item_id(5, at), f"word w{at}")])
    merged = [await context.db.write(words.merge, 100) for _ in range(2)]
    assert merged == [context.db.dialect == "sqlite", False]
    assert len(await context.db.read(words.find, 5, ["word"])) == 20


async def test_letters_that_a_database_does_not_know_find_nothing_and_do_no_harm(context: Context) -> None:
    await context.db.write(words.take_up, [(item_id(5, 0), "plain")])
    assert await context.db.read(words.find, 5, ["a\U0001e900b"]) == []


async def test_a_text_longer_than_postgresql_takes_is_cut(context: Context) -> None:
    text = "begin " + " ".join(f"w{at}" for at in range(words.LONGEST)) + " end"
    await context.db.write(words.take_up, [(item_id(5, 0), text)])
    assert await context.db.read(words.find, 5, ["begin", "w7"]) == [0]
