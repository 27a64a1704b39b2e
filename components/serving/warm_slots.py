"""WarmSlots: free slots that a pool keeps, so that a model wakes without waiting for a node.

All the time: a CapacityBuffer, which Karpenter fills with nodes as if pods waited for them (alpha, behind a gate). At
certain hours: a job that sleeps in the slots and gives way to any model; Karpenter keeps its node as long as it runs.
Either way the node is there and paid for; image and weights come to it with the first model.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pulumi

import versions
from components.arguments import Arguments
from components.options import child_options
from components.pods import restricted_admission, restricted_container, restricted_pod, tolerations
from components.sdk import k8s
from gpu.contract import NAME_LABEL, POOL_LABEL, WARM_LABEL
from gpu.host_share import HostShare
from gpu.naming import check_name
from gpu.pods import GPU_USER
from gpu.pool import Taint

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_TIME = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]")
#: Below every other pod's, so that models take the place of what only keeps it.
_PRIORITY = -10


@dataclass(frozen=True, kw_only=True)
class WarmSlotsArgs(Arguments):
    """Inputs of `WarmSlots`.

    pool: whose slots are kept; resource_name: what one of them is called; share: what it may take of its node.
    taints: of the pool's nodes, beside that of GPU nodes.
    days, start, end: `("mon",)`, `08:00`, `18:00` in time_zone; without them always.
    """

    pool: str
    resource_name: str
    share: HostShare
    taints: Sequence[Taint] = ()
    slots: int = 1
    days: Sequence[str] = ()
    start: str | None = None
    end: str | None = None
    time_zone: str = "Etc/UTC"

    def __post_init__(self) -> None:
        """Raise ValueError for hours of which no schedule can be made."""
        super().__post_init__()
        check_name("WarmSlotsArgs.pool", self.pool)
        if self.slots < 1:
            raise ValueError(f"warm slots of pool {self.pool}: slots is {self.slots}: write 1 or more")
        given = (bool(self.days), self.start is not None, self.end is not None)
        if any(given) != all(given):
            raise ValueError(f"warm slots of pool {self.pool}: days, start and end go together; without them always")
        if strange := [day for day in self.days if day not in DAYS]:
            raise ValueError(
                f"warm slots of pool {self.pool}: no day is called {strange[0]!r}: write {', '.join(DAYS)}"
            )
        times = [time for time in (self.start, self.end) if time is not None]
        if not all(_TIME.fullmatch(time) for time in times) or times != sorted(set(times)):
            said = " to ".join(map(str, times))
            raise ValueError(f"warm slots of pool {self.pool}: {said}: write two times as 08:00, the later one last")


class WarmSlots(pulumi.ComponentResource):
    """A namespace, and in it the buffer or the job. Needs a Kubernetes provider; the buffer needs Karpenter's gate.

    Let it depend on the pool: its nodes must outlive the pods.
    """

    def __init__(self, name: str, args: WarmSlotsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("gpu-slices:index:WarmSlots", name, None, opts)
        self._name = name
        self._args = args
        namespace = k8s.core.v1.Namespace(
            f"{name}-namespace",
            metadata={"name": self._namespace, "labels": restricted_admission()},
            opts=child_options(self, opts),
        )
        self._inside = child_options(self, opts, namespace)
        if args.start and args.end:
            self._at_hours(args.start, args.end)
        else:
            self._always()
        self.register_outputs({})

    @property
    def _namespace(self) -> str:
        return f"warm-{self._args.pool}"

    def _always(self) -> None:
        template: Any = {"metadata": {"labels": _labels(self._args)}, "spec": _pod(self._args)}
        pods = k8s.core.v1.PodTemplate(
            f"{self._name}-slot",
            metadata={"name": "slot", "namespace": self._namespace},
            template=template,
            opts=self._inside,
        )
        k8s.apiextensions.CustomResource(
            f"{self._name}-buffer",
            api_version=versions.CAPACITY_BUFFER_API,
            kind="CapacityBuffer",
            metadata={"name": "slots", "namespace": self._namespace},
            spec={"podTemplateRef": {"name": "slot"}, "replicas": self._args.slots},
            opts=pulumi.ResourceOptions.merge(self._inside, pulumi.ResourceOptions(depends_on=[pods])),
        )

    def _at_hours(self, start: str, end: str) -> None:
        args = self._args
        priority = k8s.scheduling.v1.PriorityClass(
            f"{self._name}-priority",
            metadata={"name": self._namespace},
            value=_PRIORITY,
            preemption_policy="Never",
            description="Keeps a slot warm until a model needs it",
            opts=pulumi.ResourceOptions(parent=self),
        )
        pod = {**_pod(args), "priorityClassName": self._namespace, "restartPolicy": "Never"}
        spec: Any = {
            "schedule": cron(args.days, start),
            "timeZone": args.time_zone,
            "concurrencyPolicy": "Replace",
            "startingDeadlineSeconds": 3600,
            "successfulJobsHistoryLimit": 0,
            "failedJobsHistoryLimit": 1,
            "jobTemplate": {
                "spec": {
                    "parallelism": args.slots,
                    "completions": args.slots,
                    "completionMode": "Indexed",
                    "activeDeadlineSeconds": seconds_between(start, end),
                    # A slot that a model took is not asked for again: that would buy another node.
                    "backoffLimitPerIndex": 0,
                    "maxFailedIndexes": args.slots,
                    "template": {"metadata": {"labels": _labels(args)}, "spec": pod},
                }
            },
        }
        k8s.batch.v1.CronJob(
            f"{self._name}-hours",
            metadata={"name": "slots", "namespace": self._namespace},
            spec=spec,
            opts=pulumi.ResourceOptions.merge(self._inside, pulumi.ResourceOptions(depends_on=[priority])),
        )


def cron(days: Sequence[str], start: str) -> str:
    """The schedule of a CronJob: `0 8 * * mon,tue`."""
    hours, _, minutes = start.partition(":")
    return f"{int(minutes)} {int(hours)} * * {','.join(days)}"


def seconds_between(start: str, end: str) -> int:
    """Seconds from one time of a day to a later one."""
    minutes = [int(hours) * 60 + int(minutes) for hours, _, minutes in (t.partition(":") for t in (start, end))]
    return (minutes[1] - minutes[0]) * 60


def _labels(args: WarmSlotsArgs) -> dict[str, str]:
    return {NAME_LABEL: "warm-slot", WARM_LABEL: args.pool}


def _pod(args: WarmSlotsArgs) -> dict[str, Any]:
    """Takes a slot with its share of the node: otherwise other pods would leave no room for the model."""
    resources = {
        "cpu": f"{args.share.cpu_millis}m",
        "memory": f"{args.share.memory_mib}Mi",
        args.resource_name: "1",
    }
    return {
        **restricted_pod(GPU_USER),
        "terminationGracePeriodSeconds": 0,
        "nodeSelector": {POOL_LABEL: args.pool},
        "tolerations": tolerations(args.taints),
        "containers": [restricted_container("pause", versions.PAUSE_IMAGE, resources)],
    }
