"""What the engine shows a policy pack of a stack, where that is not what the program wrote.

Stack policies get each resource's *outputs* (pulumi 3.276, `deploy/step_generator.go` AnalyzeResources), and an object
of a cluster that does not exist yet has none in a preview (pulumi-kubernetes 4.34, `Create` under an unconfigured
provider). The inputs are shown once, before, to every resource policy. `Inputs` keeps them for the stack rules.

Remote components built with a Pulumi SDK before 3.202, such as pulumi-eks 4.1 to 4.3, tell the engine no inputs at all.
What they make is registered as well, and holds the real values: `CONTENTS` says where.
"""

from __future__ import annotations

from collections.abc import Mapping
from threading import Lock
from typing import Any, Final

CONTENTS: Final[Mapping[str, tuple[str, ...]]] = {
    "eks:index:Cluster": ("aws:eks/cluster:Cluster",),
    "eks:index:ManagedNodeGroup": ("aws:eks/nodeGroup:NodeGroup",),
    "eks:index:NodeGroup": ("aws:ec2/launchConfiguration:LaunchConfiguration",),
    "eks:index:NodeGroupV2": ("aws:ec2/launchTemplate:LaunchTemplate", "aws:autoscaling/group:Group"),
}
"""Remote components that rules look at, to the children that hold their settings (pulumi-eks 4,
`nodejs/eks/cluster/cluster.ts` and `nodejs/eks/nodes/nodegroup.ts`)."""


def speechless(type_: str, inputs: Mapping[str, Any]) -> bool:
    """Whether it is a remote component without any inputs, which only its children can speak for."""
    return type_ in CONTENTS and not inputs


class Inputs:
    """The inputs of one analysis by URN. Analyses follow each other in a process; the SDK serves them in threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._by_urn: dict[str, Mapping[str, Any]] = {}
        self._read = False

    def keep(self, urn: str, inputs: Mapping[str, Any]) -> None:
        """Remember what a resource policy was shown. The first one after stack policies have read begins anew."""
        with self._lock:
            if self._read:
                self._by_urn, self._read = {}, False
            self._by_urn[urn] = inputs

    def read(self) -> Mapping[str, Mapping[str, Any]]:
        """All inputs of this analysis. Resources that no policy was shown, such as those only read, are not there."""
        with self._lock:
            self._read = True
            return self._by_urn
