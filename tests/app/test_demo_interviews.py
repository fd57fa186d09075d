from signalbox.app.demo_interviews import load_interviews
from signalbox.conversations import answers
from signalbox.conversations.filters import Filter
from signalbox.conversations.runtime import load
from signalbox.infra.context import Context


async def test_interviews_are_there_and_the_line_says_how_far(context: Context) -> None:
    said: list[str] = []
    await load_interviews(context, said.append, rows=400)
    assert said[-1] == "500 rows of interviews"
    assert any("rows imported" in line for line in said)
    searcher = await context.db.read(load)
    assert len(await context.db.read(answers.search, searcher, Filter(words=("we",)))) > 0
