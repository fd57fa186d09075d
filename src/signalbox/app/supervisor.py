"""Several worker processes on one port: started, watched, reloaded and ended together."""

import functools
import logging
import multiprocessing
import os
import signal
import socket
import tempfile
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import FrameType

from signalbox.app.server import Reload, run, start_logging
from signalbox.app.settings import Settings
from signalbox.core.errors import SettingsError
from signalbox.infra.telemetry import Metrics

RESTART_PAUSE = 1.0
"""Seconds before a worker that died is started again, so that a broken one does not eat the machine."""

GRACE = 10.0
"""Seconds beyond drain delay and timeout after which a worker is killed."""

_log = logging.getLogger(__name__)
_spawn = multiprocessing.get_context("spawn")


class Supervisor:
    """Keeps ``count`` workers alive until told to end. ``reload`` must be picklable: workers load with it."""

    def __init__(self, count: int, listener: socket.socket, reload: Reload) -> None:
        self._count, self._listener, self._reload = count, listener, reload
        self._workers: dict[int, BaseProcess] = {}
        self._ending = False
        self._drain = 0.0
        """Seconds that workers may take to end, by the last settings that were valid."""

    def run(self) -> None:
        """Serve until SIGTERM or SIGINT; SIGHUP makes every worker reload, if the new settings are valid."""
        signal.signal(signal.SIGTERM, self._end)
        signal.signal(signal.SIGINT, self._end)
        signal.signal(signal.SIGHUP, self._hang_up)
        with tempfile.TemporaryDirectory(prefix="signalbox-metrics-") as folder:
            self._watch(lambda index: self._start(index, Path(folder)))

    def _watch(self, start: Callable[[int], None]) -> None:
        self._settings_hold("no worker is started")
        for index in range(self._count):
            start(index)
        while not self._ending:
            wait([worker.sentinel for worker in self._workers.values()], timeout=0.5)
            dead = [index for index, worker in self._workers.items() if not worker.is_alive()]
            if dead and not self._ending:
                time.sleep(RESTART_PAUSE)
                self._replace(dead, start)
        self._join()

    def _replace(self, dead: list[int], start: Callable[[int], None]) -> None:
        """Start dead workers again, unless the settings have become wrong meanwhile; then later."""
        if not dead or not self._settings_hold("a worker died, and is not started again before they are valid"):
            return
        for index in dead:
            if not self._ending:
                _log.error("worker died; it is started again", extra={"worker": index})
                start(index)

    def _start(self, index: int, folder: Path) -> None:
        worker = _spawn.Process(target=_work, args=(index, self._listener, self._reload, folder), daemon=False)
        worker.start()
        self._workers[index] = worker

    def _join(self) -> None:
        self._signal(signal.SIGTERM)  # again: one that was being started when the signal came has not had it
        deadline = time.monotonic() + self._drain + GRACE
        for worker in self._workers.values():
            worker.join(max(0.0, deadline - time.monotonic()))
            if worker.is_alive():
                worker.kill()

    def _end(self, _number: int, _frame: FrameType | None) -> None:
        self._ending = True
        self._signal(signal.SIGTERM)

    def _hang_up(self, _number: int, _frame: FrameType | None) -> None:
        if self._settings_hold("the old ones stay"):
            self._signal(signal.SIGHUP)

    def _settings_hold(self, otherwise: str) -> bool:
        """Whether the settings, read anew, are valid; where not, the log says why, and what follows."""
        try:
            settings = self._reload()
        except SettingsError as error:
            faults = [str(each) for each in error.faults]
            _log.error("settings are wrong", extra={"faults": faults, "consequence": otherwise})
            return False
        self._drain = settings.drain_delay + settings.drain_timeout
        return True

    def _signal(self, number: signal.Signals) -> None:
        for worker in self._workers.values():
            if worker.is_alive() and worker.pid is not None:
                os.kill(worker.pid, number)


def _end_with_parent() -> None:
    """A supervisor that was killed can end nobody: its workers end themselves, so that a new one finds the port free."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os.kill(os.getpid(), signal.SIGTERM)


def _work(index: int, listener: socket.socket, reload: Reload, folder: Path) -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    own = functools.partial(settings_of_worker, index, reload)
    settings = own()
    start_logging(settings.log)
    run(settings, listener, reload=own, metrics=Metrics(worker=index, folder=folder))


def settings_of_worker(index: int, reload: Reload) -> Settings:
    """Settings with a log file of the worker's own: several processes cannot rotate one file."""
    settings = reload()
    if settings.log.file is None:
        return settings
    file = settings.log.file.with_stem(f"{settings.log.file.stem}-{index}")
    return settings.model_copy(update={"log": settings.log.model_copy(update={"file": file})})
