"""What is to be said of a cluster's Karpenter, or of the stack's own where there is none."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from typing import Final

import versions
from adopt.finding import Finding, fits, missing, note, unseen
from adopt.inventory import Inventory
from adopt.karpenter import Karpenter
from adopt.proposal import Proposal
from adopt.stack_file import describe, gate_is_on, knows_overlays, list_addons
from adopt.standing import CONTROLLERS, DEFAULT_LABEL, Standing
from config.checks.existing import OVERLAYS_SINCE
from config.errors import listed
from gpu.contract import DISCOVERY_TAG, SYSTEM_NODE_TAINT
from gpu.standing import POD_IDENTITY_AGENT

_GATE: Final = "settings.featureGates.nodeOverlay"


def refusal(there: Inventory) -> Finding | None:
    """Why no stack file would be right for a cluster, whatever it says; None where one may be."""
    found = there.karpenter
    if found is None and there.auto_mode:
        return missing("EKS Auto Mode", _AUTO_MODE)
    if found is None and there.definitions:
        text = (
            f"its definitions are there ({', '.join(there.definitions)}), and neither a controller nor a pool was "
            "seen. Helm takes no definitions over that another release made, so the stack's own Karpenter cannot be "
            "installed. If one runs here, show all of it: Deployments, NodePools and EC2NodeClasses. If one was here "
            "once, delete its definitions, with which all objects of theirs go, and look again"
        )
        return missing("Karpenter", text, "kubectl get crd -o name")
    if found is not None and found.before_v1:
        seen = f"is {found.version}" if found.version else f"{_old(found)} alone"
        text = (
            f"{seen}, of before 1.0, and pools of a stack are karpenter.sh/v1: raise Karpenter to {_OLDEST} or later"
            f"{_by_way(found)}, and look again"
        )
        return missing("Karpenter", text, "" if found.version else "helm list -A")
    return None


_OLDEST: Final = ".".join(map(str, OVERLAYS_SINCE))


def _old(found: Karpenter) -> str:
    return f"{'pools' if found.old_api.startswith('karpenter.sh/') else 'node classes'} are {found.old_api}"


def _by_way(found: Karpenter) -> str:
    """Karpenter's "v1 Migration" and "v1beta1 Migration": 1.0 knows no Provisioners, and 1.1 serves no v1beta1."""
    if not found.before_v1beta1:
        return ", by way of 1.0, which turns v1beta1 into v1"
    return (
        ", by way of 0.32, with NodePools and EC2NodeClasses in the place of your Provisioners and AWSNodeTemplates, "
        "then 0.33 or later, and 1.0, which turns v1beta1 into v1"
    )


#: EKS user guide, "EKS Auto Mode": its device plugin, add-ons and definitions are EKS'. Karpenter's troubleshooting,
#: "Helm Error When Installing the karpenter-crd Chart"; its chart's affinity (values.yaml: nodepool DoesNotExist).
_AUTO_MODE: Final = (
    "buys this cluster's nodes, and no GPU can be shared with it: its device plugin cannot be configured, and it heeds "
    "no NodeOverlay. Nor does the stack install a Karpenter beside it: EKS made the definitions of NodePools, which "
    "Helm does not take over; the controller keeps off nodes of any NodePool, and there may be no others; nodes that "
    "EKS does not manage need the add-ons vpc-cni and kube-proxy. Let the stack make a cluster of its own beside this "
    "one (leave cluster.existing out), or take one with managed node groups. If a Karpenter of yours runs here too, "
    "show its Deployment and its EC2NodeClasses"
)


def karpenter_findings(there: Inventory, proposal: Proposal, *, has_file: bool) -> Iterator[Finding]:
    """Whether it can be used, or one be installed. has_file: whether a stack file is written."""
    found = there.karpenter
    if (refused := refusal(there)) is not None:
        yield refused
        return
    if found is None:
        yield from _no_karpenter(there)
        return
    if found.old_api:
        yield from _old_objects(found)
    if not found.version:
        stands = f": {versions.KARPENTER_VERSION} stands in the file" if has_file else ""
        yield unseen("Karpenter", f"nothing tells its version{stands}", "helm list -A")
    elif not knows_overlays(found):
        yield missing("Karpenter", f"{found.version} knows no NodeOverlay: shared GPUs need {_OLDEST} or later")
    else:
        yield fits("Karpenter", found.version)
    yield from _overlays(there, found, proposal)


def _old_objects(found: Karpenter) -> Iterator[Finding]:
    """Objects of before 1.0 beside newer ones."""
    if found.version and not found.version.startswith("1.0"):
        text = (
            f"{_old(found)}, of before 1.0, which {found.version} does not serve: write them as v1, or leave them out"
        )
        yield note("Karpenter", text)
    else:
        text = f"{_old(found)}, of before 1.0: shared GPUs need Karpenter {_OLDEST} or later{_by_way(found)}"
        yield missing("Karpenter", text)


def _overlays(there: Inventory, found: Karpenter, proposal: Proposal) -> Iterator[Finding]:
    """Whether Karpenter learns of slots: its gate, and the definition, which Helm does not bring with a later chart."""
    if gate_is_on(there):
        yield fits("gate NodeOverlay", "is on")
        return
    why = "without it Karpenter buys a GPU for each slot; the sums suppose it, the file shares nothing before it is"
    version = found.version if knows_overlays(found) else ""
    if not (found.serves_overlays and knows_overlays(found)) and proposal.replicas:
        text = f"have no definition here, since Helm brings none when it raises a chart; {why} there"
        yield missing("NodeOverlays", text, f"kubectl apply -f {_DEFINITION.format(version or 'VERSION')}")
    if found.gates is None:
        look = f"helm get values {found.release} -n {found.namespace}"
        yield unseen("gate NodeOverlay", f"nobody saw whether it is on: {why} on", look)
    elif knows_overlays(found) and "nodeOverlay" in found.gates:
        yield fits("gate NodeOverlay", "is on")
    elif proposal.replicas:
        place = f"{found.release} {_CHART} --namespace {found.namespace} --reuse-values"
        line = f"helm upgrade {place} --version {version or 'VERSION'} --set {_GATE}=true"
        yield missing("gate NodeOverlay", f"is off: {why} on", line)


_CHART: Final = "oci://public.ecr.aws/karpenter/karpenter"
#: Karpenter's upgrade guide, "CRD Upgrades".
_DEFINITION: Final = (
    "https://raw.githubusercontent.com/aws/karpenter-provider-aws/v{}/pkg/apis/crds/karpenter.sh_nodeoverlays.yaml"
)


def _no_karpenter(there: Inventory) -> Iterator[Finding]:
    text = f"none was seen: the stack installs its own, {versions.KARPENTER_VERSION}; the line must find nothing"
    yield note("Karpenter", text, "kubectl get crd nodepools.karpenter.sh")
    if there.authentication_mode:
        yield fits("authentication mode", there.authentication_mode)
    else:
        look = describe(there, "accessConfig.authenticationMode")
        yield unseen("authentication mode", "nobody asked the account: the default is supposed", look)
    yield from _rights(there)
    yield from _place(there)
    if there.network is None:
        text = f"nobody asked the account: found by {DISCOVERY_TAG}={there.cluster}, unless the file names them"
        yield unseen("subnets and security groups", text, describe(there, "resourcesVpcConfig"))
    elif there.network:
        said = ", ".join(each for ids in there.network.values() for each in ids)
        yield fits("subnets and security groups", f"{said}, as EKS has them for the cluster")


def _place(there: Inventory) -> Iterator[Finding]:
    """Whether the stack's own Karpenter finds nodes to run on: without one its release fails, and so does the rest."""
    about, found = "nodes that stay", there.standing
    with_label = f"with {_label(found.labels)}"
    if not there.counts.get("Node"):
        text = f"no nodes were read: Karpenter runs on {CONTROLLERS} of them, by a label (cluster.systemNodeLabels)"
        yield unseen(about, text, "kubectl get nodes --show-labels")
    elif not found.takers:
        text = (
            f"Karpenter runs on {CONTROLLERS} that no Karpenter buys, without GPUs and with no taint but "
            f"{SYSTEM_NODE_TAINT}: none was seen{_kept(found)}. `pulumi up` ends without one: add such nodes first, "
            "and look again"
        )
        yield missing(about, text)
    elif not found.labels:
        text = (
            f"have no label in common: Karpenter runs on those with {_label(DEFAULT_LABEL)}, and `pulumi up` ends "
            f"without one. Give it to {CONTROLLERS} or more, and to their node group, so that its next nodes have it; "
            "or write one that they have under cluster.systemNodeLabels"
        )
        line = ("kubectl", "label", "nodes", *found.takers[:CONTROLLERS], _label(DEFAULT_LABEL))
        yield missing(about, text, shlex.join(line))
    elif len(found.takers) < CONTROLLERS:
        text = (
            f"{len(found.takers)} {with_label} takes Karpenter{_kept(found)}: of its {CONTROLLERS} pods, each on a "
            "node of its own, one waits for another such node, and while this one is away no node is bought"
        )
        yield note(about, text)
    else:
        yield fits(about, f"{len(found.takers)} {with_label} take Karpenter")


def _label(labels: Mapping[str, str]) -> str:
    return ", ".join(f"{key}={value}" for key, value in labels.items())


def _kept(found: Standing) -> str:
    return f"; others have the taint {listed(found.taints, 'or')}" if found.taints else ""


def _rights(there: Inventory) -> Iterator[Finding]:
    """By what the stack's own Karpenter gets its role."""
    about, found = "rights of Karpenter", there.rights
    if found.agent:
        if not there.authentication_mode:  # else the account says it
            yield fits(about, f"by EKS Pod Identity: {POD_IDENTITY_AGENT} runs")
    elif found.agent is None:
        text = f"nobody saw whether {POD_IDENTITY_AGENT} runs: EKS Pod Identity is supposed; else write identity: irsa"
        yield unseen(about, text, list_addons(there))
    elif found.provider:
        yield fits(about, "by the cluster's OIDC provider, karpenter.identity: irsa: no Pod Identity agent runs")
    elif found.provider is None:
        text = (
            "no Pod Identity agent runs: the file says karpenter.identity: irsa, and IAM must know the cluster's issuer"
        )
        yield unseen(about, text, "aws iam list-open-id-connect-providers")
