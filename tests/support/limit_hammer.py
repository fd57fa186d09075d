"""A process that takes permits as fast as it can: ``python -m tests.support.limit_hammer URL HOST LIMIT SECONDS``.

It prints when it used each, in nanoseconds of the machine's monotonic clock, and uses none that has lain for longer than
the margin.
"""

import asyncio
import sys
import time

from signalbox.core.rates import parse_rate
from signalbox.infra.clock.system import SystemClock
from signalbox.infra.db.postgresql import open_postgresql
from signalbox.infra.limits.budgets import Budgets
from signalbox.infra.limits.settings import BudgetSettings

MARGIN = 0.1


async def hammer(url: str, host: str, limit: str, seconds: str) -> None:
    clock, db = SystemClock(), open_postgresql(url)
    budgets = Budgets([BudgetSettings(host=host, limits=[parse_rate(limit)])], db, clock, margin=MARGIN)

    async def one(number: int) -> None:
        while time.monotonic() < end:
            asked = time.monotonic_ns()
            grant = await budgets.acquire(host, count=number, now=clock.now())
            used = time.monotonic_ns()
            if used - asked < MARGIN * 1_000_000_000:
                for _ in range(grant.count):
                    print(used, flush=True)  # noqa: T201 - read by the test
            await asyncio.sleep(0.002)

    end = time.monotonic() + float(seconds)
    print("hammering", flush=True)  # noqa: T201 - read by the test
    await asyncio.gather(*map(one, (1, 2, 3, 5)))
    await db.close()


if __name__ == "__main__":
    asyncio.run(hammer(*sys.argv[1:]))
