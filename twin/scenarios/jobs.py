"""Scenarios about Jobs: pods come and go as Kubernetes and Karpenter have it, and their process is a real one here.

What runs in a pod is the example of `apps/checkpoint`, as a process of this machine for each pod: it begins when the
pod runs, is told to end when the pod is, and is killed where the node would be gone.
"""

from __future__ import annotations

import itertools
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import versions
from gpu.checkpoints import GRACE_VARIABLE, INTERVAL_VARIABLE, MAX_GRACE_SECONDS, URL_VARIABLE
from gpu.contract import GPU_RESOURCE, NAME_LABEL, NODE_POOL_LABEL, RUN_ANNOTATION, SCENARIO_LABEL, STOP_ANNOTATION
from gpu.pods import OUTLASTS_DISRUPTION
from twin.kube.client import Object
from twin.plan import PlannedPool
from twin.scenarios.failures import send_interruption
from twin.scenarios.play import NAMESPACE, PATIENCE, Failed, Play, instance_of

_APPS: Final = Path(__file__).parents[2] / "apps"
_NAME: Final = "interrupted"
_INTERRUPTIONS, _BY_SPOT = 20, 3
#: Steps of the job, and what each takes beside its arithmetic, in seconds.
_STEPS, _STEP_SECONDS = 2500, 0.03
#: Seconds of work that an interruption may cost; and what a machine with others on it adds to a step or a save, at
#: least: where it has let a process wait for longer, as the times of its steps say, that is added.
_BOUND, _NOISE = 1.0, 1.0
#: How long a pod takes to end, in seconds: the process has ended by then.
_STOP_SECONDS: Final = 3


@dataclass
class _Process:
    """What runs in a pod."""

    process: subprocess.Popen[bytes]
    log: Path
    told: bool = False

    @property
    def text(self) -> str:
        return self.log.read_text(encoding="utf-8")

    def steps(self) -> dict[int, float]:
        """Steps that it has done, and when."""
        return {int(step): float(at) for step, at in re.findall(r"^step (\d+) at ([\d.]+)$", self.text, re.MULTILINE)}

    @property
    def began_after(self) -> int:
        """The step after which it went on."""
        found = re.search(r"goes on after step (\d+),", self.text)
        return int(found[1]) if found else 0

    @property
    def result(self) -> str:
        found = re.search(r"^result (\w+)$", self.text, re.MULTILINE)
        return found[1] if found else ""


@dataclass
class _Kubelet:
    """Runs the process of each pod of the job, as the pods of the cluster come and go."""

    play: Play
    folder: Path
    processes: dict[str, _Process] = field(default_factory=dict)
    """By the pod's uid, in the order in which they began."""
    killing: bool = False
    """Whether a process is killed when its pod is told to end, as on a node that is gone at once."""

    def follow(self) -> None:
        """Begin and end processes, as the pods say."""
        pods = {pod["metadata"]["uid"]: pod for pod in self.play.pods(_NAME)}
        for uid, pod in pods.items():
            running = (pod.get("status") or {}).get("phase") == "Running"
            if running and uid not in self.processes and not pod["metadata"].get("deletionTimestamp"):
                self.processes[uid] = self._begin(uid)
        for uid, process in self.processes.items():
            gone = uid not in pods or bool(pods[uid]["metadata"].get("deletionTimestamp"))
            if gone and not process.told and process.process.poll() is None:
                process.told = True
                process.process.send_signal(signal.SIGKILL if self.killing else signal.SIGTERM)
            elif uid not in pods and process.process.poll() is None:
                process.process.kill()

    def _begin(self, uid: str) -> _Process:
        return run_example(self.folder / f"{uid}.log", {URL_VARIABLE: str(self.folder / "run")}, _STEP_SECONDS)

    @property
    def last(self) -> _Process | None:
        """The newest process."""
        return list(self.processes.values())[-1] if self.processes else None

    def at_work(self) -> bool:
        """Whether a process of a pod has done a step."""
        self.follow()
        last = self.last
        return last is not None and not last.told and bool(last.steps())

    def end(self) -> None:
        """Kill what still runs."""
        for process in self.processes.values():
            process.process.kill()
            process.process.wait()


def run_example(log: Path, environment: Mapping[str, str], step_seconds: float) -> _Process:
    """The example as a process of its own."""
    own = {
        **os.environ,
        "PYTHONPATH": str(_APPS),
        INTERVAL_VARIABLE: str(_BOUND),
        GRACE_VARIABLE: str(MAX_GRACE_SECONDS),
        **environment,
    }
    command = [sys.executable, "-m", "checkpoint.example", "--steps", str(_STEPS), "--step-seconds", str(step_seconds)]
    with log.open("wb") as file:
        return _Process(subprocess.Popen(command, env=own, stdout=file, stderr=subprocess.STDOUT), log)


def interrupted_job(play: Play) -> None:
    """A Job with checkpoints is interrupted twenty times, thrice as Spot takes its node, and loses next to nothing.

    Its process is a real one, told to end or killed. It ends with the result of an unbroken run, and not one of its
    interruptions counts as a failure.
    """
    pool = play.pool()
    with tempfile.TemporaryDirectory(prefix="slices-job-") as name:
        folder = Path(name)
        unbroken = run_example(folder / "unbroken.log", {URL_VARIABLE: str(folder / "unbroken")}, 0)
        kubelet = _Kubelet(play, folder)
        try:
            play.kube.apply(_job(pool))
            lost = _interrupt(play, kubelet)
            unbroken.process.wait(PATIENCE)
            _to_the_end(play, kubelet)
        finally:
            kubelet.end()
            unbroken.process.kill()
            unbroken.process.wait()
        last = kubelet.last
        play.check(bool(unbroken.result) and last is not None and last.result == unbroken.result, "the same result")
        statuses = {process.process.returncode for process in kubelet.processes.values()}
        play.check(statuses == {0, 143, -9}, "processes were told to end, killed, and one has ended its work")
    most = max(seconds for seconds, _ in lost)
    play.figures["most seconds of work lost"] = round(most, 2)
    within = f"at most {_BOUND:g} s of work lost by each, and what this machine adds"
    play.check(all(seconds <= _BOUND + max(_NOISE, pause) for seconds, pause in lost), within, f"{most:.2f} s")
    job = _status(play)
    play.check(job.get("succeeded") == 1 and not job.get("failed"), "the Job is complete, and nothing has failed")
    play.check(
        len(kubelet.processes) == _INTERRUPTIONS + 1, "every interruption was one pod", str(len(kubelet.processes))
    )


def _job(pool: PlannedPool) -> Object:
    labels = {SCENARIO_LABEL: _NAME, NAME_LABEL: _NAME}
    container = {
        "name": "work",
        "image": versions.PAUSE_IMAGE,
        "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {pool.resource: "1"}},
    }
    pod = {
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": MAX_GRACE_SECONDS,
        "nodeSelector": {NODE_POOL_LABEL: pool.name},
        "tolerations": [{"key": GPU_RESOURCE, "operator": "Exists"}],
        "containers": [container],
    }
    # The scenario says when it succeeds: its process knows.
    annotations = {RUN_ANNOTATION: "24h", STOP_ANNOTATION: f"{_STOP_SECONDS}s"}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": _NAME, "namespace": NAMESPACE, "labels": labels},
        "spec": {
            "completions": 1,
            "parallelism": 1,
            "completionMode": "Indexed",
            **OUTLASTS_DISRUPTION,
            "template": {"metadata": {"labels": labels, "annotations": annotations}, "spec": pod},
        },
    }


def _interrupt(play: Play, kubelet: _Kubelet) -> list[tuple[float, float]]:
    """Interrupt the job at random moments of its work; seconds of work that each has cost, and of its longest pause.

    The controller of Jobs waits longer before each new pod, 10 s and then twice as long each time up to 10 min, and
    counts no failure all the same (kubernetes, pkg/controller/job/backoff_utils.go). It remembers that in its process
    alone: here it begins anew, so that twenty interruptions take minutes.
    """
    chance, lost = random.Random(16), list[tuple[float, float]]()
    play.tell("Kubernetes would wait up to ten minutes between pods: its controllers are restarted after each")
    for number in range(_INTERRUPTIONS):
        worker = _at_work(play, kubelet, f"a pod at work after {number} interruptions", None)
        until = time.monotonic() + chance.uniform(0, 2 * _BOUND)
        while time.monotonic() < until:
            play.pulse()
            kubelet.follow()
            time.sleep(0.02)
        by_spot = number % (_INTERRUPTIONS // _BY_SPOT) == _BY_SPOT
        kubelet.killing = bool(number % 2)
        how = "killed" if kubelet.killing else "told to end"
        play.tell(f"interruption {number + 1}, {'by Spot' if by_spot else 'an eviction'}: its process is {how}")
        _take_away(play, by_spot=by_spot)
        _wait_for_its_end(play, kubelet, worker, PATIENCE)
        play.wait(lambda: not play.pods(_NAME), PATIENCE, "the end of its pod")
        play.kill("kube-controller-manager")
        after = _at_work(play, kubelet, "another pod that goes on", worker).began_after
        lost.append((_lost(worker, after), _longest_pause(worker)))
    return lost


def _at_work(play: Play, kubelet: _Kubelet, what: str, before: _Process | None) -> _Process:
    """The process that does steps, another than the one before. Waits for it."""
    play.wait(lambda: kubelet.at_work() and kubelet.last is not before, PATIENCE, what)
    last = kubelet.last
    assert last is not None
    return last


def _wait_for_its_end(play: Play, kubelet: _Kubelet, worker: _Process, seconds: float) -> None:
    def ended() -> bool:
        kubelet.follow()
        return worker.process.poll() is not None

    play.wait(ended, seconds, "the end of its process")


def _take_away(play: Play, *, by_spot: bool) -> None:
    """Take the pod's node, as Spot does, or evict the pod alone, as a drain does."""
    (pod,) = [pod for pod in play.pods(_NAME) if not pod["metadata"].get("deletionTimestamp")]
    if by_spot:
        node = pod["spec"]["nodeName"]
        send_interruption(play, instance_of(play.claim_of(node)))
        return
    name = pod["metadata"]["name"]
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name, "namespace": NAMESPACE}}
    play.kube.request("POST", f"{play.kube.path('v1', 'Pod', name, NAMESPACE)}/eviction", eviction)


def _lost(worker: _Process, resumed_after: int) -> float:
    """Seconds of a process' work that the next one does again."""
    steps = worker.steps()
    if not any(step > resumed_after for step in steps):
        return 0.0
    return max(steps.values()) - steps.get(resumed_after, min(steps.values()))


def _longest_pause(worker: _Process) -> float:
    """Most seconds between two of a process' steps."""
    return max((then - before for before, then in itertools.pairwise(worker.steps().values())), default=0.0)


def _to_the_end(play: Play, kubelet: _Kubelet) -> None:
    """Let the job end, and its pod with it."""
    last = kubelet.last
    if last is None:
        raise Failed("no pod of the job has begun")
    play.tell("nothing interrupts it any more")
    _wait_for_its_end(play, kubelet, last, 2 * PATIENCE)
    if last.process.returncode:
        raise Failed(f"the process has ended with {last.process.returncode}: {last.text[-300:]}")
    (pod,) = [pod for pod in play.pods(_NAME) if (pod.get("status") or {}).get("phase") == "Running"]
    name = {"name": pod["metadata"]["name"], "namespace": NAMESPACE}
    about = {"apiVersion": "v1", "kind": "Pod", "metadata": name}
    play.kube.patch(about, {"status": {"phase": "Succeeded"}}, subresource="status")
    play.wait(lambda: bool(_status(play).get("completionTime")), 60, "a Job that is complete")


def _status(play: Play) -> Object:
    job = play.kube.get("batch/v1", "Job", _NAME, NAMESPACE) or {}
    found: Object = job.get("status") or {}
    return found
