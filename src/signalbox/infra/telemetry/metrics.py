"""What ``/metrics`` shows, in Prometheus' text format.

With several worker processes a scrape reaches one of them. Each therefore leaves its numbers in a shared
folder and shows everybody's, told apart by the label ``worker``, so every series stays monotonic.
"""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Protocol

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.core import Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

CONTENT_TYPE = CONTENT_TYPE_LATEST


class Source(Protocol):
    """Produces metric families at every scrape, from numbers kept in memory."""

    def collect(self) -> Iterable[Metric]:
        """The families, each with all its samples."""
        ...


class Metrics:
    """The registry of one process."""

    def __init__(self, *, worker: int | None = None, folder: Path | None = None) -> None:
        self._registry = CollectorRegistry(auto_describe=False)
        self._worker, self._folder = worker, folder
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)
        GCCollector(registry=self._registry)

    def register(self, source: Source) -> None:
        """Show a source's families from now on."""
        self._registry.register(_Adapter(source))

    def render(self) -> bytes:
        """The exposition text of this process, or of all workers where there are several."""
        if self._folder is None:
            return generate_latest(self._registry)
        self.share()
        merged = CollectorRegistry(auto_describe=False)
        merged.register(_Adapter(_Merged(self._folder)))
        return generate_latest(merged)

    def share(self) -> None:
        """Leave this process's numbers for the other workers; nothing to do where there is one process."""
        if self._folder is None:
            return
        path = self._folder / f"worker-{self._worker}.prom"
        fresh = path.with_suffix(f".{os.getpid()}.tmp")
        fresh.write_bytes(generate_latest(self._registry))
        fresh.replace(path)


class _Adapter(Collector):
    def __init__(self, source: Source) -> None:
        self._source = source

    def collect(self) -> Iterable[Metric]:
        return self._source.collect()


class _Merged:
    """The families of every worker's file, each sample labelled with its worker."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def collect(self) -> Iterator[Metric]:
        families: dict[str, Metric] = {}
        for path in sorted(self._folder.glob("worker-*.prom")):
            worker = path.stem.removeprefix("worker-")
            for family in text_string_to_metric_families(path.read_text(encoding="utf-8")):
                merged = families.setdefault(family.name, Metric(family.name, family.documentation, family.type))
                merged.samples += [
                    sample._replace(labels={**sample.labels, "worker": worker}) for sample in family.samples
                ]
        yield from families.values()
