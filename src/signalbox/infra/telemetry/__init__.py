"""The seam to measurements of the service itself: mergeable histograms, a batch sink, the Prometheus registry."""

from signalbox.infra.telemetry.histogram import Histogram
from signalbox.infra.telemetry.metrics import Metrics
from signalbox.infra.telemetry.sink import BatchSink

__all__ = ["BatchSink", "Histogram", "Metrics"]
