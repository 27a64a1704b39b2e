"""Prometheus' figures of the service, by the names of keys. They have a port of their own (`metrics_port`)."""

from __future__ import annotations

from collections import Counter as Counts
from collections.abc import Iterator
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from prometheus_client import CollectorRegistry, Counter, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from dialogue.conversation import Conversation

if TYPE_CHECKING:
    from dialogue.hub import Hub

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4


class Metrics:
    """Counters of one service, and what its hub holds at the moment. Labels are of closed sets, or names of keys."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._registry = CollectorRegistry(auto_describe=False)
        self._requests = self._counter("requests", "Requests to the API by who has a key.", "key", "action", "status")
        self._refused = self._counter("refused", "Requests that were refused at the door, by the error's code.", "code")
        self._ended = self._counter("runs_ended", "Runs of conversations that ended, and why.", "key", "reason")
        self._tokens = self._counter("tokens", "Tokens that models said.", "key")
        self._seen: WeakKeyDictionary[Conversation, int] = WeakKeyDictionary()
        self._registry.register(self)  # a collector by what it has

    def text(self) -> bytes:
        """All figures in Prometheus' text format."""
        for conversation in self._hub.conversations:
            self._count_tokens(conversation)
        return generate_latest(self._registry)

    def request(self, key: str, action: str, status: int) -> None:
        """Count a request of somebody who has a key."""
        self._requests.labels(key, action, str(status)).inc()

    def refused(self, code: str) -> None:
        """Count a request that came no further than the door."""
        self._refused.labels(code).inc()

    def ended(self, conversation: Conversation) -> None:
        """Count the end of a run: said to its end, stopped, or failed."""
        self._count_tokens(conversation)
        self._ended.labels(conversation.owner, conversation.reason or conversation.state).inc()

    def collect(self) -> Iterator[Metric]:
        """What there is at the moment; prometheus_client asks for it."""
        running, kept, watchers = Counts[str](), Counts[str](), Counts[str](self._hub.watchers_of)
        for conversation in self._hub.conversations:
            kept[conversation.owner] += 1
            running[conversation.owner] += conversation.state == "running"
        yield _gauge("conversations_running", "Conversations that run.", running)
        yield _gauge("conversations_kept", "Conversations that can be read.", kept)
        yield _gauge("watchers", "Streams that are open.", watchers)
        yield GaugeMetricFamily(
            "dialogue_keys_readable", "1 if the keys can be read.", float(self._hub.keys_readable())
        )

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"dialogue_{name}", text, labels, registry=self._registry)

    def _count_tokens(self, conversation: Conversation) -> None:
        # A turn that starts again forgets its tokens; they were said all the same.
        before, now = self._seen.get(conversation, 0), conversation.tokens
        self._seen[conversation] = now
        self._tokens.labels(conversation.owner).inc(max(now - before, 0))


def _gauge(name: str, text: str, values: Counts[str]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(f"dialogue_{name}", text, labels=["key"])
    for key, value in sorted(values.items()):
        family.add_metric([key], value)
    return family
