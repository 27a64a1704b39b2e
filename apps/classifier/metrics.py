"""Prometheus' figures of one service."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


class Metrics:
    """Requests that were answered, those under way, and how long they took."""

    def __init__(self, provider: str) -> None:
        self._registry = CollectorRegistry(auto_describe=False)
        self.requests = Counter(
            "classifier_requests", "Pictures by the status of the answer.", ["status"], registry=self._registry
        )
        self.in_flight = Gauge(
            "classifier_requests_in_flight", "Pictures under way, waiting ones included.", registry=self._registry
        )
        self.seconds = Histogram(
            "classifier_seconds",
            "From the last byte of a picture to its answer.",
            buckets=_SECONDS,
            registry=self._registry,
        )
        running = Gauge("classifier_provider", "What computes the model.", ["provider"], registry=self._registry)
        running.labels(provider).set(1)

    def text(self) -> bytes:
        """All figures in Prometheus' text format."""
        return generate_latest(self._registry)
