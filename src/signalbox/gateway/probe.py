"""One call to each server of an upstream, by hand: does it answer, and how soon?"""

import asyncio

from signalbox.core.errors import SignalboxError
from signalbox.core.times import MICROSECONDS
from signalbox.gateway.dispatch import Dispatcher
from signalbox.gateway.recorder import Recorder
from signalbox.gateway.schemas import ProbeOut, TargetProbeOut
from signalbox.gateway.settings import UpstreamSettings
from signalbox.gateway.targets import Target
from signalbox.infra.clock import Clock
from signalbox.infra.http import Request, Timeouts
from signalbox.infra.http.recorded import RecordedClient

ROUTE = "probe"
"""Under which statistics count these calls, as the hub's own."""

LONGEST = 5.0
"""Seconds that a server has for the head of its answer."""


async def probe(settings: UpstreamSettings, dispatcher: Dispatcher, *, recorder: Recorder, clock: Clock) -> ProbeOut:
    """Ask every server of an upstream at the same time for its ``probe_path``, by GET.

    Whatever status it answers with, it answers. The breaker neither stops this nor hears of it; a budget of the host
    holds, and the calls count in it.
    """
    client = RecordedClient(dispatcher.client, clock)
    client.listen(recorder.record_own)
    found = await asyncio.gather(*(_ask(each, settings, client) for each in dispatcher.targets.all))
    return ProbeOut(upstream=settings.name, path=settings.probe_path, targets=found)


async def _ask(target: Target, settings: UpstreamSettings, client: RecordedClient) -> TargetProbeOut:
    asked = settings.timeouts
    timeouts = Timeouts(connect=min(asked.connect, LONGEST), read=min(asked.read, LONGEST), total=LONGEST)
    request = Request(target.origin, b"GET", target.base + settings.probe_path.encode(), timeouts=timeouts)
    status, error, started = None, None, client.clock.monotonic()
    try:
        response = await client.send(request, service=settings.name, route=ROUTE)
        status = response.status
        response.whole()
        response.close()
    except SignalboxError as failure:
        error = f"{failure.code}: {failure}"
    seconds = round((client.clock.monotonic() - started) * MICROSECONDS) / MICROSECONDS
    return TargetProbeOut(url=target.url, status=status, seconds=seconds, error=error)
