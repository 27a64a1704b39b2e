"""What scenarios about GPU memory work with: a pool of claims, pods that claim, and what must hold. Memory in MiB."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal

from gpu.catalog import INSTANCE_TYPES, InstanceType
from gpu.claims import bought, bound, equal_slots, pools_by_size
from gpu.contract import DEVICE_CLASS
from gpu.host_share import node_room
from gpu.sharing.memory import DEVICE_MEMORY, template_name
from twin.kube.client import Object
from twin.plan import most_gpus, types_of, vcpus_per_gpu
from twin.play.dra_driver import DEVICES_API
from twin.scenarios.play import NAMESPACE, PATIENCE, Failed, Play, workload

#: Sizes of pods in the larger runs: 1.4 to 11.2 GiB, in steps of about half a GiB.
SIZES = tuple(range(1434, 11469, 557))
#: When Karpenter is killed: pods are there and it has not bought yet, or all is bought that may be.
Kill = Literal["asked", "bought"]
#: GPUs that many mixed pods may take, of those that no placing can do without; one more is one more, also of few.
MOST_OVER_BOUND = 1.15


def draw(pods: int, seed: int) -> list[int]:
    """Sizes of so many pods, in MiB: the same for everybody."""
    chance = random.Random(seed)
    return [chance.choice(SIZES) for _ in range(pods)]


def allowed_gpus(least: int) -> int:
    """GPUs that pods may take of whom no placing can do with less than `least`."""
    return max(int(MOST_OVER_BOUND * least), least + 1)


def claim_template(name: str, exactly: Mapping[str, Any]) -> Object:
    """The template of claims with one request."""
    return {
        "apiVersion": DEVICES_API,
        "kind": "ResourceClaimTemplate",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"spec": {"devices": {"requests": [{"name": "gpu", "exactly": dict(exactly)}]}}},
    }


@dataclass(frozen=True)
class Claiming:
    """A run of a scenario on a pool whose pods claim memory."""

    play: Play
    pool: str

    @classmethod
    def of(cls, play: Play) -> Claiming:
        """On the first such pool. Raises Failed without any."""
        if not play.plan.claim_pools:
            raise Failed(
                f"stack {play.plan.stack} has no pool with `sharing: {{strategy: memory}}`; stack memory has: "
                "give `--stack memory`"
            )
        return cls(play, play.plan.claim_pools[0].name)

    @property
    def types(self) -> list[InstanceType]:
        """What the pool may buy."""
        return types_of(self.play.plan.node_pool(self.pool))

    @property
    def gpu_mib(self) -> int:
        """Memory of the largest GPU that the pool may buy, as its driver shows it."""
        return max(kind.gpu.memory.total_mib for kind in self.types)

    @property
    def most_gpus(self) -> int:
        """GPUs that the plan lets the pool have. Raises Failed where it says none."""
        limit = most_gpus(self.play.plan.node_pool(self.pool))
        if limit is None:
            raise Failed(f"pool {self.pool} has no limit")
        return limit

    @property
    def gpus_now(self) -> int:
        """GPUs that are paid for: of nodes that were bought and are not gone."""
        return sum(INSTANCE_TYPES[node.instance_type].gpu_count for node in self.play.view.pool(self.pool))

    @property
    def bought(self) -> int:
        """Nodes that were ever bought in this run."""
        return len(self.play.claims_of(self.pool))

    def make_room(self, gpus: int) -> None:
        """Let the pool have so many GPUs in this run, where its limit is lower; say so."""
        if self.most_gpus < gpus:
            wanted = gpus * vcpus_per_gpu(self.types)
            self.play.tell(f"for this run only: pool {self.pool} may have {gpus} GPUs, that is {wanted} vCPUs")
            self.play.limit(self.pool, {"cpu": str(wanted)})

    def ask(self, name: str, mib: int, replicas: int = 1, *, pool: str = "", host: bool = False) -> None:
        """Pods that claim so much of a GPU each; called again, it changes their number.

        pool: where they go, if not to this pool. host: they also ask for processors and memory of the host in
        proportion to it, as the stack's own pods do.
        """
        exactly = {"deviceClassName": DEVICE_CLASS, "count": 1, "capacity": {"requests": {DEVICE_MEMORY: f"{mib}Mi"}}}
        self.play.kube.apply(claim_template(template_name(mib), exactly))
        requests = self._host(mib) if host else {"cpu": "50m", "memory": "64Mi"}
        made = workload(name, pool or self.pool, replicas, {"requests": requests, "claims": [{"name": "gpu"}]})
        made["spec"]["template"]["spec"]["resourceClaims"] = [
            {"name": "gpu", "resourceClaimTemplateName": template_name(mib)}
        ]
        self.play.kube.apply(made)

    def _host(self, mib: int) -> Mapping[str, str]:
        kind = self.types[0]
        room, part = node_room(kind), mib / kind.gpu.memory.total_mib
        return {"cpu": f"{int(room.cpu_millis * part)}m", "memory": f"{int(room.memory_mib * part)}Mi"}

    def together(self, sizes: Sequence[int]) -> list[str]:
        """Ask for a pod of each size at once and wait until all run; their names."""
        names = [f"model-{mib}" for mib in sizes]
        for name, mib in zip(names, sizes, strict=True):
            self.ask(name, mib)
        seconds = self.play.wait(lambda: all(map(self.play.running, names)), PATIENCE, "running pods")
        self.play.figures["seconds until all run"] = round(seconds, 1)
        return names

    def end(self, name: str) -> None:
        """No pods of a workload any more."""
        self.play.scale(name, 0)
        self.play.wait(lambda: not self.play.pods(name), PATIENCE, "no pods")

    def burst(self, name: str, kill: Kill | None = None) -> int:
        """Ask for twice as much as the pool may buy, and stay for what might follow; the most GPUs that there were.

        Each pod claims more than half of a GPU. kill: when Karpenter is killed.
        """
        play, limit, most = self.play, self.most_gpus, 0

        def look() -> int:
            nonlocal most
            most = max(most, self.gpus_now)
            return most

        self.ask(name, self.gpu_mib * 3 // 4, 2 * limit)
        if kill == "bought":
            play.wait(lambda: look() >= limit, PATIENCE, f"{limit} GPUs that are bought")
        if kill:
            play.restart_karpenter()
        seconds = play.wait(lambda: look() > 0 and play.running(name) == limit, PATIENCE, f"{limit} running pods")
        play.figures[f"{name}: seconds until {limit} of {2 * limit} run"] = round(seconds, 1)
        play.stays(lambda: look() > 0, 10)  # a purchase too many would follow now
        return most

    def mixed(self, sizes: Sequence[int]) -> dict[str, Any]:
        """Ask for pods of these sizes at once, with their share of the host, and check what was bought; figures."""
        play, least = self.play, bound(sizes, self.gpu_mib)
        self.make_room(2 * least)
        play.tell(f"{len(sizes)} pods of {min(sizes)} to {max(sizes)} MiB on GPUs of {self.gpu_mib} MiB")
        names = {f"mixed-{mib}": mib for mib in sizes}
        for name, mib in names.items():
            self.ask(name, mib, 0, host=True)
        with ThreadPoolExecutor(8) as pool:  # at once: Karpenter buys for those that come within a second of each other
            list(pool.map(lambda name: play.scale(name, sizes.count(names[name])), names))
        seconds = play.wait(
            lambda: sum(map(play.running, names)) == len(sizes), PATIENCE + 2 * len(sizes), f"{len(sizes)} running pods"
        )
        play.check(
            self.bought <= allowed_gpus(least),
            f"{self.bought} GPUs, {allowed_gpus(least)} at most",
            f"the bound is {least}",
        )
        self.check_devices()
        return {
            "seconds until all run": round(seconds, 1),
            "GPUs bought": self.bought,
            "GPUs used": len({node for name in names for node in play.nodes_of(name)}),
            "bound": least,
            "GPUs by the plan's model": len(bought(sorted(sizes, reverse=True), self.gpu_mib)),
            "GPUs in equal slots": equal_slots(sizes, self.gpu_mib),
            "GPUs with a pool per size": pools_by_size(sizes, self.gpu_mib),
            "USD per hour": round(sum(node.usd_per_hour for node in play.view.pool(self.pool)), 3),
        }

    def check_devices(self) -> None:
        """No GPU is promised more often than it has memory."""
        over = ", ".join(f"{device} by {mib} MiB" for device, mib in self.play.devices.overfull().items())
        self.play.check(not over, "no GPU's claims are more than its memory", over)

    def why(self, name: str) -> str:
        """Why a workload's pod waits: Karpenter's word, or the scheduler's."""
        return next((pod.reason for pod in self.play.view.pending if pod.owner == name), "")
