"""The poll pump of one provider: asks how tasks stand, again and again, while any are under way."""

import asyncio
import logging
from collections.abc import Sequence
from typing import Final, NamedTuple

from signalbox.core.times import MICROSECONDS
from signalbox.infra.context import Context
from signalbox.infra.http import TooLateError
from signalbox.infra.jobs import Job
from signalbox.tasks import poll
from signalbox.tasks.compare import Findings, Watched, merge, sort_out
from signalbox.tasks.errors import LeaseLostError
from signalbox.tasks.journal import Journal
from signalbox.tasks.poll import News, Streaks, Tally
from signalbox.tasks.providers import PollFailedError, Provider, Sighting, Sightings
from signalbox.tasks.pump import LONGEST_REST
from signalbox.tasks.verdicts import BACKOFF

AT_ONCE: Final = 8
"""Calls at once to a provider that is asked for some tasks at a time."""
ROUNDS: Final = 50
"""Rounds of such calls in one run of the pump."""

CALM: Final = 3
"""Polls in a row that change nothing before the pauses grow."""
LONGEST_CALM: Final = 4
"""Intervals that a pause takes at most while nothing changes."""
LONGEST_TROUBLE: Final = 300.0
"""Seconds that a pause takes at most while polls fail; an interval that is longer stays."""

HOLDS: Final = (0, 5 * MICROSECONDS)
"""For how long permits are taken besides their margin: longer once connecting took longer than that."""

_log = logging.getLogger(__name__)


class Permits(NamedTuple):
    """Leave to poll so many times."""

    granted: int
    send_by: float | None
    """Moment of the event loop's clock at which it ends; None where nothing is counted."""


class Poller:
    """One run of the pump: one poll, or as many as tasks whose turn has come need. Runs never overlap."""

    def __init__(
        self,
        context: Context,
        provider: Provider,
        job: Job,
        *,
        journal: Journal,
        missing_after: int,
        is_default: bool,
        margin: int,
    ) -> None:
        """``margin``: microseconds for which a permit is good, from when its transaction was asked for."""
        self._context, self._provider, self._job, self._journal = context, provider, job, journal
        self._missing_after, self._margin = missing_after, margin
        self._names = [provider.name, *([""] if is_default else [])]
        """Whose tasks are under way there; the empty name stands for those that are tracked only."""

    async def run(self) -> None:
        """Poll once, write down what has changed, and have the next poll come in time."""
        try:
            if await self._context.db.read(poll.first_due, self._names) is None:
                await self._rest(self._now())
            elif self._provider.batch is None:
                await self._poll_all()
            else:
                await self._poll_some(self._provider.batch)
        except LeaseLostError as error:
            _log.warning("a poll pump stops", extra={"provider": self._provider.name, "reason": str(error)})

    # -- one call brings all tasks ------------------------------------------------------------------------------------

    async def _poll_all(self) -> None:
        try:
            answer, began = await self._ask_for_all()
        except PollFailedError as error:
            await self._fail(error)
            return
        if answer is None:
            return
        seen = await asyncio.to_thread(merge, answer.found)
        met, changed = await self._compare_all(seen, began)
        await self._succeed(Tally(len(answer.found), changed, len(seen) - met, answer.bad))

    async def _ask_for_all(self) -> tuple[Sightings | None, int]:
        """The answer, and when it was asked for; None without a permit."""
        for hold in HOLDS:
            permits, began = await self._permits(1, hold=hold), self._now()
            if permits.granted == 0:
                return None, began
            try:
                return await self._provider.poll([], send_by=permits.send_by), began
            except TooLateError as error:
                if hold == HOLDS[-1]:
                    raise PollFailedError(str(error)) from error
        return None, self._now()

    async def _compare_all(self, seen: dict[str, Sighting], began: int) -> tuple[int, int]:
        """How many keys belong to tasks under way, and how many of those have changed."""
        met, changed = set[str](), 0
        for name in self._names:
            news = await self._look(name, seen, after=0, began=began)
            while news.last is not None:
                met.update(*(page.met for page in news.pages))
                following = self._look(name, seen, after=news.last, began=began)
                counts = asyncio.gather(*map(self._apply, news.pages))
                news, counted = await asyncio.gather(following, counts)
                changed += sum(counted)
        return len(met), changed

    async def _look(self, name: str, seen: dict[str, Sighting], *, after: int, began: int) -> News:
        return await self._context.db.read(
            poll.find_news, name, seen, after=after, missing_after=self._missing_after, began=began
        )

    # -- each call brings some ----------------------------------------------------------------------------------------

    async def _poll_some(self, batch: int) -> None:
        tally, hold = Tally(), HOLDS[0]
        for _ in range(ROUNDS):
            due = await self._context.db.read(poll.find_due, self._names, now=self._now(), limit=batch * AT_ONCE)
            if not due:
                break
            permits = await self._permits(-(-len(due) // batch), hold=hold)
            if permits.granted == 0:
                return
            parts = [due[start : start + batch] for start in range(0, permits.granted * batch, batch)]
            asked = (self._ask(part, permits.send_by) for part in parts)
            results = await asyncio.gather(*asked, return_exceptions=True)
            broken = [each for each in results if isinstance(each, BaseException)]
            late = [each for each in broken if isinstance(each, TooLateError)]
            if late and hold == HOLDS[0]:  # they are still due
                hold, broken = HOLDS[-1], [each for each in broken if each not in late]
            tally = _sum([tally, *(each for each in results if isinstance(each, Tally))])
            if broken:
                await self._fail(broken[0], tally)
                return
        await self._succeed(tally)

    async def _ask(self, part: Sequence[Watched], send_by: float | None) -> Tally:
        began = self._now()
        answer = await self._provider.poll([each.key for each in part], send_by=send_by)
        seen = merge(answer.found)
        changed = 0
        for start in range(0, len(part), poll.PAGE):
            page = part[start : start + poll.PAGE]
            changed += await self._apply(sort_out(page, seen, missing_after=self._missing_after, began=began))
        until = self._now() + self._interval
        await self._context.db.write(poll.put_off, [each.id for each in part], until=until)
        met = sum(each.key in seen for each in part)
        return Tally(len(answer.found), changed, len(seen) - met, answer.bad)

    # -- both ---------------------------------------------------------------------------------------------------------

    @property
    def _interval(self) -> int:
        return round(self._provider.poll_interval * MICROSECONDS)

    def _now(self) -> int:
        return self._context.clock.now()

    async def _permits(self, count: int, *, hold: int) -> Permits:
        """Permits for at most so many polls; without any the run is over, and goes on when there are some."""
        now, budgets = self._now(), self._context.budgets
        counts = bool(self._provider.limits) or budgets.name_of(self._provider.host) is not None
        send_by = asyncio.get_running_loop().time() + (self._margin + hold) / MICROSECONDS if counts else None
        grant = await self._context.db.write(
            poll.begin, self._provider, job=self._job, budgets=budgets, count=count, hold=hold, now=now
        )
        if grant.count == 0:
            await self._rest(min(grant.retry_at or now + self._interval, now + LONGEST_REST))
        return Permits(grant.count, send_by)

    async def _apply(self, found: Findings) -> int:
        if not found.moves and not found.differences:
            return 0
        return await self._context.db.write(
            poll.apply, self._provider, found, job=self._job, journal=self._journal, now=self._now()
        )

    async def _succeed(self, tally: Tally) -> None:
        now = self._now()
        streaks = await self._context.db.write(poll.note, self._provider.name, tally, error=None, now=now)
        await self._rest(now + pause_after(streaks, self._interval))

    async def _fail(self, error: BaseException, tally: Tally = Tally()) -> None:  # noqa: B008 - immutable
        """A poll that failed changes nothing, but for when the next one comes."""
        if isinstance(error, TooLateError):
            error = PollFailedError(str(error))
        if not isinstance(error, PollFailedError):
            raise error
        now, name = self._now(), self._provider.name
        _log.warning("a poll failed", extra={"provider": name, "reason": str(error)})
        streaks = await self._context.db.write(poll.note, name, tally, error=str(error), now=now)
        following = now + pause_after(streaks, self._interval)
        until = pause_end(error, streaks, now)
        if until is not None:
            await self._context.db.write(self._context.budgets.pause, self._provider.host, until=until)
            following = max(following, until)
        await self._rest(following)

    async def _rest(self, following: int) -> None:
        await self._context.db.write(poll.rest, self._names, job=self._job, following=following, now=self._now())


def pause_after(streaks: Streaks, interval: int) -> int:
    """Microseconds until the next poll: the interval, longer while polls fail or nothing changes."""
    if streaks.failures:
        longest = max(interval, round(LONGEST_TROUBLE * MICROSECONDS))
        return min(interval << min(streaks.failures - 1, 40), longest)
    return interval * min(LONGEST_CALM, 1 << min(streaks.unchanged // CALM, 8))


def pause_end(error: PollFailedError, streaks: Streaks, now: int) -> int | None:
    """Until when nobody calls the host; None where it does not mind. Where it does not say for how long: a back-off."""
    if error.retry_after is not None:
        return now + round(error.retry_after * MICROSECONDS)
    return now + BACKOFF.longest(max(1, streaks.failures)) if error.too_many else None


def _sum(tallies: Sequence[Tally]) -> Tally:
    return Tally(*(sum(column) for column in zip(*tallies, strict=True)))
