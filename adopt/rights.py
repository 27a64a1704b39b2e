"""How pods of a cluster get rights in AWS: what a Karpenter of the stack's own would get its role by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from adopt.objects import Objects, at, containers_of, environment, listed, name_of
from gpu.standing import POD_IDENTITY_AGENT, Identity

#: A DaemonSet of EKS' that nodes of every cluster have: where it is seen, those of kube-system were shown.
_EVERYWHERE: Final = "kube-proxy"
#: What EKS' webhook gives pods whose service account names a role (EKS user guide, "Configure Pods to use a Kubernetes
#: service account").
_TOKEN: Final = "AWS_WEB_IDENTITY_TOKEN_FILE"


@dataclass(frozen=True, kw_only=True)
class Rights:
    """agent: whether EKS' Pod Identity agent runs. provider: whether IAM has a provider of the cluster's issuer.

    None where nobody saw it.
    """

    agent: bool | None = None
    provider: bool | None = None

    @property
    def identity(self) -> Identity:
        """As `karpenter.identity` says it: without the agent by the provider, unless there is none either."""
        return "irsa" if self.agent is False and self.provider is not False else "pod-identity"


def rights_of(objects: Objects) -> Rights:
    """What the cluster's own objects tell."""
    sets = list(objects.of("DaemonSet"))
    images = [str(each.get("image")) for daemon_set in sets for each in containers_of(daemon_set)]
    agent: bool | None = None
    if any(POD_IDENTITY_AGENT in text for text in (*images, *map(name_of, sets))):
        agent = True
    elif any(name_of(each) == _EVERYWHERE for each in sets):
        agent = False
    containers = [each for pod in objects.of("Pod") for each in listed(at(pod, "spec").get("containers"))]
    return Rights(agent=agent, provider=True if any(_TOKEN in environment(each) for each in containers) else None)
