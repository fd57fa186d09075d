import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.parser import text_string_to_metric_families

from signalbox.infra.telemetry import Metrics
from signalbox.infra.telemetry.metrics import CONTENT_TYPE

NASTY = 'a "quoted" \\back\\slash\nnewline {braces}, comma=ü'

Series = dict[tuple[str, frozenset[tuple[str, str]]], float]


class Shop:
    """Some families of every kind."""

    def __init__(self, calls: int = 1, label: str = "shop") -> None:
        self.calls = calls
        self.label = label

    def collect(self) -> Iterator[Metric]:
        requests = CounterMetricFamily("shop_requests", "Calls of the shop.", labels=("upstream", "status"))
        requests.add_metric((self.label, "200"), self.calls)
        yield requests
        yield GaugeMetricFamily("shop_waiting", "Calls that wait.", 2 * self.calls)
        seconds = HistogramMetricFamily("shop_seconds", "Seconds of calls.", labels=("upstream",))
        seconds.add_metric((self.label,), [("0.1", 1.0), ("+Inf", float(self.calls))], 0.5)
        yield seconds


def series(text: bytes) -> Series:
    """Every sample of an exposition text by name and labels; none may be there twice."""
    found: Series = {}
    for family in text_string_to_metric_families(text.decode()):
        for sample in family.samples:
            key = (sample.name, frozenset(sample.labels.items()))
            assert key not in found
            found[key] = sample.value
    return found


def value(text: bytes, name: str, **labels: str) -> float:
    return series(text)[name, frozenset(labels.items())]


def test_a_process_shows_itself_and_its_sources() -> None:
    metrics = Metrics()
    metrics.register(Shop(calls=3))
    text = metrics.render()
    assert value(text, "shop_requests_total", upstream="shop", status="200") == 3
    assert value(text, "shop_waiting") == 6
    assert value(text, "shop_seconds_bucket", upstream="shop", le="+Inf") == 3
    assert value(text, "process_resident_memory_bytes") > 1_000_000
    assert any(name == "python_gc_collections_total" for name, _ in series(text))


def test_numbers_are_asked_at_every_scrape() -> None:
    shop = Shop(calls=1)
    metrics = Metrics()
    metrics.register(shop)
    metrics.render()
    shop.calls = 2
    assert value(metrics.render(), "shop_waiting") == 4


def test_labels_of_any_text_come_through() -> None:
    metrics = Metrics()
    metrics.register(Shop(label=NASTY))
    assert value(metrics.render(), "shop_requests_total", upstream=NASTY, status="200") == 1


def test_the_content_type_is_that_of_the_text_format() -> None:
    assert CONTENT_TYPE.startswith("text/plain; version=")


def test_one_process_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    metrics = Metrics()
    metrics.share()
    metrics.render()
    assert list(tmp_path.iterdir()) == []


def workers(folder: Path, count: int = 3) -> list[Metrics]:
    made = [Metrics(worker=number, folder=folder) for number in range(count)]
    for number, metrics in enumerate(made):
        metrics.register(Shop(calls=number + 1, label=NASTY))
        metrics.share()
    return made


def test_any_worker_shows_the_numbers_of_all(tmp_path: Path) -> None:
    for metrics in workers(tmp_path):
        text = metrics.render()
        for number in range(3):
            labels = {"upstream": NASTY, "status": "200", "worker": str(number)}
            assert value(text, "shop_requests_total", **labels) == number + 1
            assert value(text, "shop_seconds_count", upstream=NASTY, worker=str(number)) == number + 1
        assert {dict(labels)["worker"] for _, labels in series(text)} == {"0", "1", "2"}


def test_families_of_several_workers_are_one_family_with_its_type_and_help(tmp_path: Path) -> None:
    text = workers(tmp_path)[0].render().decode()
    for name, kind in (("shop_requests_total", "counter"), ("shop_waiting", "gauge"), ("shop_seconds", "histogram")):
        assert text.count(f"# TYPE {name} {kind}\n") == 1
        assert text.count(f"# HELP {name} ") == 1


def test_samples_of_a_family_stand_together(tmp_path: Path) -> None:
    lines = workers(tmp_path)[0].render().decode().splitlines()
    families = [line.split()[2] for line in lines if line.startswith("# TYPE")]
    assert len(families) == len(set(families))
    where = [position for position, line in enumerate(lines) if line.startswith("shop_waiting{")]
    assert where == list(range(where[0], where[0] + 3))


def test_a_worker_shows_its_own_newest_numbers_and_replaces_its_file(tmp_path: Path) -> None:
    workers(tmp_path)
    shop = Shop(calls=10)
    replaced = Metrics(worker=0, folder=tmp_path)
    replaced.register(shop)
    assert value(replaced.render(), "shop_waiting", worker="0") == 20
    shop.calls = 11
    assert value(replaced.render(), "shop_waiting", worker="0") == 22
    assert sorted(each.name for each in tmp_path.iterdir()) == [f"worker-{number}.prom" for number in range(3)]


def test_a_half_written_file_of_another_process_is_not_read(tmp_path: Path) -> None:
    first, *_ = workers(tmp_path)
    (tmp_path / f"worker-7.{os.getpid() + 1}.tmp").write_text("shop_waiting 1\n# TYPE half")
    assert {dict(labels)["worker"] for _, labels in series(first.render())} == {"0", "1", "2"}


def test_shared_files_do_not_depend_on_the_locale(tmp_path: Path) -> None:
    workers(tmp_path)
    code = "import sys; from pathlib import Path; from signalbox.infra.telemetry import Metrics\n"
    code += "sys.stdout.buffer.write(Metrics(worker=9, folder=Path(sys.argv[1])).render())"
    plain = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PATH": os.environ["PATH"]}
    done = subprocess.run([sys.executable, "-c", code, tmp_path], env=plain, check=True, capture_output=True)
    assert value(done.stdout, "shop_requests_total", upstream=NASTY, status="200", worker="2") == 3
