"""Replicas of the classifier on this machine, one process for each pod that the twin runs.

The GPU of a node is played by a processor: its slots take turns of 20 ms, as with time-slicing, so that each replica
has a fifth of it however many there are. Unlike a GPU's, a turn that nobody needs is nobody's.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from bench.processes import ROOT
from tests.apps.ollama_server import free_port

ENVIRONMENT = ROOT / ".venv-classifier"
#: Seconds of a turn.
TURN = 0.02


@dataclass
class Replica:
    """A process that serves, for a pod. node: the pod's. ready: whether it has said so; ended: it was told to go."""

    pod: str
    node: str
    port: int
    process: subprocess.Popen[bytes]
    ready: bool = False
    ended: bool = False
    under_way: list[int] = field(default_factory=list)
    """Figures of the last seconds, newest last: pictures under way."""

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.port}"


class Replicas:
    """All of them, and their turns. slots: of a node."""

    def __init__(self, slots: int) -> None:
        self.by_pod: dict[str, Replica] = {}
        self._leaving: list[Replica] = []
        self._slots, self._stopped = slots, threading.Event()
        self._turns = threading.Thread(target=self._take_turns, daemon=True)
        self._turns.start()

    @property
    def serving(self) -> Sequence[Replica]:
        """Those that take pictures."""
        return [replica for replica in self.by_pod.values() if replica.ready and not replica.ended]

    def follow(self, pods: Mapping[str, str]) -> None:
        """Be those of these pods, whose nodes are named: start what is missing, end what is gone."""
        for pod, node in pods.items():
            if pod not in self.by_pod:
                self.by_pod[pod] = self._started(pod, node)
        for pod in set(self.by_pod) - set(pods):
            replica = self.by_pod.pop(pod)
            replica.ended = True  # nobody sends to it from here on
            self._leaving.append(replica)
            replica.process.terminate()

    def close(self) -> None:
        """End all."""
        self.follow({})
        self._stopped.set()
        self._turns.join()
        for replica in self._leaving:
            with contextlib.suppress(ProcessLookupError):
                os.kill(replica.process.pid, signal.SIGCONT)
            try:
                replica.process.wait(timeout=15)
            except subprocess.TimeoutExpired:
                replica.process.kill()
                replica.process.wait()

    def look(self, client: httpx.Client) -> None:
        """Ask each what it does, as Prometheus would; what does not answer yet is not ready."""
        for replica in list(self.by_pod.values()):
            with contextlib.suppress(httpx.HTTPError):
                if not replica.ready:
                    replica.ready = client.get(f"{replica.url}/readyz").status_code == httpx.codes.OK
                lines = client.get(f"{replica.url}/metrics").text.splitlines()
                (value,) = (line.split()[1] for line in lines if line.startswith("classifier_requests_in_flight "))
                replica.under_way.append(int(float(value)))

    def _started(self, pod: str, node: str) -> Replica:
        port = free_port()
        own = {"CLASSIFIER_PORT": str(port), "CLASSIFIER_MODEL": str(ENVIRONMENT / "model.onnx")}
        process = subprocess.Popen(
            [ENVIRONMENT / "bin" / "python", "-m", "classifier"],
            env={**os.environ, "PYTHONPATH": str(Path(ROOT) / "apps"), **own},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        return Replica(pod, node, port, process)

    def _take_turns(self) -> None:
        while not self._stopped.is_set():
            nodes: dict[str, list[Replica]] = {}
            for replica in [*self.by_pod.values(), *self._leaving]:
                if replica.process.poll() is None:
                    nodes.setdefault(replica.node, []).append(replica)
            for turn in range(self._slots):
                now = [of_node[turn] for of_node in nodes.values() if turn < len(of_node)]
                _signal(now, signal.SIGCONT)
                time.sleep(TURN)
                _signal(now, signal.SIGSTOP)


def _signal(replicas: Sequence[Replica], number: signal.Signals) -> None:
    for replica in replicas:
        # Its own child, not waited for yet: the number cannot be somebody else's.
        if replica.process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(replica.process.pid, number)
