"""``signalbox simulate producer|consumer``: simulated apps against a hub that runs, until Ctrl-C."""

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import Awaitable
from typing import Annotated

import typer
from rich.console import Console

from signalbox.client import Change, Kept, RefusedError, UnreachableError
from signalbox.sandbox.consumer import consume
from signalbox.sandbox.producer import produce

PAUSE = 5.0
"""Seconds between two lines."""

Url = Annotated[str, typer.Option(help="Address of the hub.")]
Token = Annotated[str, typer.Option(envvar="SIGNALBOX_TOKEN", help="A token for any app.", show_default=False)]
Apps = Annotated[int, typer.Option(min=1, max=10_000, help="How many apps.")]
Rate = Annotated[float, typer.Option(min=0.001, help="Requests a second, by all apps together.")]
Jitter = Annotated[float, typer.Option(min=0, max=1, help="By which part of it a pause is longer or shorter.")]
Signal = Annotated[str, typer.Option(help="Name of the signal.")]
Seconds = Annotated[float | None, typer.Option(min=0, help="End after so many seconds.", show_default="never")]
Seed = Annotated[int, typer.Option(help="The same seed makes the same apps.")]


def build_commands() -> typer.Typer:
    """The command group ``simulate``."""
    group = typer.Typer(no_args_is_help=True, help="Simulated apps against a hub, for demos and load.")

    @group.command()
    def producer(
        token: Token,
        *,
        url: Url = "http://127.0.0.1:8000",
        apps: Apps = 3,
        rate: Rate = 0.2,
        jitter: Jitter = 0.5,
        signal: Signal = "default",
        seconds: Seconds = None,
        seed: Seed = 0,
    ) -> None:
        """Report levels; the token needs the scope criticality:write."""
        tally = Tally()
        work = produce(
            url,
            token=token,
            apps=apps,
            rate=rate,
            jitter=jitter,
            signal=signal,
            on_report=tally.add_report,
            dice=random.Random(seed),
        )
        run(work, tally, seconds=seconds)

    @group.command()
    def consumer(
        token: Token,
        *,
        url: Url = "http://127.0.0.1:8000",
        apps: Apps = 100,
        rate: Rate = 20.0,
        jitter: Jitter = 0.5,
        signal: Signal = "default",
        seconds: Seconds = None,
        seed: Seed = 0,
    ) -> None:
        """Ask for changes; the token needs the scope criticality:read."""
        tally = Tally()
        work = consume(
            url,
            token=token,
            apps=apps,
            rate=rate,
            jitter=jitter,
            signal=signal,
            on_answer=tally.add_answer,
            dice=random.Random(seed),
        )
        run(work, tally, seconds=seconds)

    return group


class Tally:
    """What simulated apps were answered."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def add_report(self, _app: str, kept: Kept | UnreachableError) -> None:
        """Take what became of a report."""
        if isinstance(kept, UnreachableError):
            self.counts["unanswered"] += 1
        else:
            self.counts["accepted" if kept.accepted else f"not current ({kept.why})"] += 1

    def add_answer(self, _app: str, told: Change | UnreachableError | None) -> None:
        """Take what an ask was answered with."""
        if isinstance(told, UnreachableError):
            self.counts["unanswered"] += 1
        else:
            self.counts["nothing new" if told is None else "changes"] += 1

    def line(self) -> str:
        """All counts."""
        return "   ".join(f"{name}: {count}" for name, count in sorted(self.counts.items())) or "nothing yet"


def run(work: Awaitable[None], tally: Tally, *, seconds: float | None) -> None:
    """Run simulated apps until Ctrl-C or for so many seconds; a line each few seconds, and one at the end.

    Raises:
        typer.Exit: the hub refuses what they want; the reason was printed.
    """
    console = Console(stderr=True, highlight=False)

    async def main() -> None:
        telling = asyncio.create_task(_tell(console, tally))
        try:
            async with asyncio.timeout(seconds):
                await work
        finally:
            telling.cancel()

    refusals: list[BaseException] = []
    try:
        with contextlib.suppress(KeyboardInterrupt, TimeoutError):
            asyncio.run(main())
    except* RefusedError as refused:
        refusals.append(_first(refused))
    typer.echo(tally.line())
    if refusals:
        console.print(f"the hub refuses: {refusals[0]}")
        raise typer.Exit(1)


async def _tell(console: Console, tally: Tally) -> None:
    while True:
        await asyncio.sleep(PAUSE)
        console.print(tally.line())


def _first(group: BaseException) -> BaseException:
    while isinstance(group, BaseExceptionGroup):
        group = group.exceptions[0]
    return group
