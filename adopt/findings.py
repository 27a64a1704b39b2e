"""What fits, what is missing and what to know before a stack shares the GPUs of a cluster that is there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

import versions
from adopt.inventory import FoundPool, Inventory
from adopt.karpenter import Karpenter
from adopt.objects import at
from adopt.proposal import Proposal
from adopt.stack_file import (
    StackText,
    describe,
    gate_is_on,
    joined_plugin,
    knows_overlays,
    list_addons,
    model_class,
    reaching,
)
from config.checks.existing import OVERLAYS_SINCE
from config.errors import key_of, listed
from gpu.contract import DEVICE_CLASS, DISCOVERY_TAG, MEMORY_ANNOTATION, POOL_LABEL
from gpu.standing import POD_IDENTITY_AGENT

Status = Literal["fits", "missing", "note", "unseen"]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing about the cluster. line: what to set or run, where something is to be done."""

    status: Status
    about: str
    text: str
    line: str = ""


def findings(there: Inventory, proposal: Proposal, written: StackText) -> list[Finding]:
    """All that is to be said, in the order in which somebody would ask."""
    has_file = not written.problems and refusal(there) is None
    return [
        *_versions(there),
        *_karpenter(there, proposal),
        *_joining(there),
        *_pools(there, proposal),
        *_plugins(there, has_file=has_file),
        *_others(there),
        *_pods(there, proposal),
        *_unread(there),
        *(Finding(status="missing", about=key_of(each.path), text=each.message) for each in written.problems),
    ]


def _fits(about: str, text: str) -> Finding:
    return Finding(status="fits", about=about, text=text)


def _note(about: str, text: str, line: str = "") -> Finding:
    return Finding(status="note", about=about, text=text, line=line)


def _missing(about: str, text: str, line: str = "") -> Finding:
    return Finding(status="missing", about=about, text=text, line=line)


def _unseen(text: str, about: str, line: str = "") -> Finding:
    return Finding(status="unseen", about=about, text=text, line=line)


def _unread(there: Inventory) -> Iterator[Finding]:
    """What could not be read: its name, and why."""
    for each in there.unseen:
        about, _, why = each.partition(": ")
        yield _unseen(why, about)


def _versions(there: Inventory) -> Iterator[Finding]:
    if there.kubernetes:
        yield _fits("Kubernetes", there.kubernetes)
    else:
        text = f"nothing tells the version: {versions.EKS_DEFAULT_VERSION} stands in the file"
        yield _unseen(text, "Kubernetes", "kubectl version")


# --- Karpenter --------------------------------------------------------------------------------------------------------

_GATE: Final = "settings.featureGates.nodeOverlay"


def refusal(there: Inventory) -> Finding | None:
    """Why no stack file would be right for a cluster, whatever it says; None where one may be."""
    found = there.karpenter
    if found is None and there.auto_mode:
        return _missing("EKS Auto Mode", _AUTO_MODE)
    if found is None and there.definitions:
        text = (
            f"its definitions are there ({', '.join(there.definitions)}), and neither a controller nor a pool was "
            "seen. Helm takes no definitions over that another release made, so the stack's own Karpenter cannot be "
            "installed. If one runs here, show all of it: Deployments, NodePools and EC2NodeClasses. If one was here "
            "once, delete its definitions, with which all objects of theirs go, and look again"
        )
        return _missing("Karpenter", text, "kubectl get crd -o name")
    if found is not None and not found.serves_v1:
        text = (
            f"pools are {found.old_api} alone, of before 1.0, and those of a stack are karpenter.sh/v1: raise "
            f"Karpenter to {_OLDEST} or later{_BY_WAY}, and look again"
        )
        return _missing("Karpenter", text, "helm list -A")
    return None


_OLDEST: Final = ".".join(map(str, OVERLAYS_SINCE))
#: Karpenter's "v1 Migration": 1.1 serves no v1beta1 any more.
_BY_WAY: Final = ", by way of 1.0, which turns them into v1"
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


def _karpenter(there: Inventory, proposal: Proposal) -> Iterator[Finding]:
    found = there.karpenter
    if (refused := refusal(there)) is not None:
        yield refused
        return
    if found is None:
        yield from _no_karpenter(there)
        return
    if found.old_api:
        text = f"pools are {found.old_api}, of before 1.0: shared GPUs need Karpenter {_OLDEST} or later{_BY_WAY}"
        yield _missing("Karpenter", text)
    elif not found.version:
        text = f"nothing tells its version: {versions.KARPENTER_VERSION} stands in the file"
        yield _unseen(text, "Karpenter", "helm list -A")
    elif not knows_overlays(found):
        yield _missing("Karpenter", f"{found.version} knows no NodeOverlay: shared GPUs need {_OLDEST} or later")
    else:
        yield _fits("Karpenter", found.version)
    yield from _overlays(there, found, proposal)


def _overlays(there: Inventory, found: Karpenter, proposal: Proposal) -> Iterator[Finding]:
    """Whether Karpenter learns of slots: its gate, and the definition, which Helm does not bring with a later chart."""
    if found.version.startswith("0."):
        return  # no one step leads from there to a version that has either
    if gate_is_on(there):
        yield _fits("gate NodeOverlay", "is on")
        return
    why = "without it Karpenter buys a GPU for each slot; the sums suppose it, the file shares nothing before it is"
    version = found.version if knows_overlays(found) else ""
    if not (found.serves_overlays and knows_overlays(found)) and proposal.replicas:
        text = f"have no definition here, since Helm brings none when it raises a chart; {why} there"
        yield _missing("NodeOverlays", text, f"kubectl apply -f {_DEFINITION.format(version or 'VERSION')}")
    if found.gates is None:
        look = f"helm get values {found.release} -n {found.namespace}"
        yield _unseen(f"nobody saw whether it is on: {why} on", "gate NodeOverlay", look)
    elif knows_overlays(found) and "nodeOverlay" in found.gates:
        yield _fits("gate NodeOverlay", "is on")
    elif proposal.replicas:
        place = f"{found.release} {_CHART} --namespace {found.namespace} --reuse-values"
        line = f"helm upgrade {place} --version {version or 'VERSION'} --set {_GATE}=true"
        yield _missing("gate NodeOverlay", f"is off: {why} on", line)


_CHART: Final = "oci://public.ecr.aws/karpenter/karpenter"
#: Karpenter's upgrade guide, "CRD Upgrades".
_DEFINITION: Final = (
    "https://raw.githubusercontent.com/aws/karpenter-provider-aws/v{}/pkg/apis/crds/karpenter.sh_nodeoverlays.yaml"
)


def _no_karpenter(there: Inventory) -> Iterator[Finding]:
    text = f"none was seen: the stack installs its own, {versions.KARPENTER_VERSION}; the line must find nothing"
    yield _note("Karpenter", text, "kubectl get crd nodepools.karpenter.sh")
    if there.authentication_mode:
        yield _fits("authentication mode", there.authentication_mode)
    else:
        look = describe(there, "accessConfig.authenticationMode")
        yield _unseen("nobody asked the account: the default is supposed", "authentication mode", look)
    yield from _rights(there)
    if there.network is None:
        text = f"nobody asked the account: found by {DISCOVERY_TAG}={there.cluster}, unless the file names them"
        yield _unseen(text, "subnets and security groups", describe(there, "resourcesVpcConfig"))
    elif there.network:
        said = ", ".join(each for ids in there.network.values() for each in ids)
        yield _fits("subnets and security groups", f"{said}, as EKS has them for the cluster")


def _rights(there: Inventory) -> Iterator[Finding]:
    """By what the stack's own Karpenter gets its role."""
    about, found = "rights of Karpenter", there.rights
    if found.agent:
        if not there.authentication_mode:  # else the account says it
            yield _fits(about, f"by EKS Pod Identity: {POD_IDENTITY_AGENT} runs")
    elif found.agent is None:
        text = f"nobody saw whether {POD_IDENTITY_AGENT} runs: EKS Pod Identity is supposed; else write identity: irsa"
        yield _unseen(text, about, list_addons(there))
    elif found.provider:
        yield _fits(about, "by the cluster's OIDC provider, karpenter.identity: irsa: no Pod Identity agent runs")
    elif found.provider is None:
        text = (
            "no Pod Identity agent runs: the file says karpenter.identity: irsa, and IAM must know the cluster's issuer"
        )
        yield _unseen(text, about, "aws iam list-open-id-connect-providers")


# --- Nodes that join --------------------------------------------------------------------------------------------------


def _joining(there: Inventory) -> Iterator[Finding]:
    if there.karpenter is None:
        return
    chosen = model_class(there)
    if chosen is None:
        yield _unseen("no EC2NodeClass: write role and tags of yours", "nodes", "kubectl get ec2nodeclasses -o yaml")
        return
    if chosen.filled_in:
        yield _note("EC2NodeClass", f"{chosen.name} is a template: parts of it are filled in elsewhere")
    if chosen.role:
        yield _fits("role of nodes", f"{chosen.role}, as in EC2NodeClass {chosen.name}")
    elif chosen.profile:
        look = f"aws iam get-instance-profile --instance-profile-name {chosen.profile}"
        yield _unseen(f"EC2NodeClass {chosen.name} names a profile alone: write its role", "role of nodes", look)
    else:
        why = "has it filled in elsewhere: write it" if chosen.filled_in else "names none"
        yield _unseen(f"EC2NodeClass {chosen.name} {why}", "role of nodes")
    for noun, tags, ids in (
        ("subnets", chosen.subnet_tags, chosen.subnet_ids),
        ("security groups", chosen.group_tags, chosen.group_ids),
    ):
        if tags or ids:
            yield _fits(noun, ", ".join(f"{key}={value}" for key, value in tags.items()) or ", ".join(ids))
        elif chosen.filled_in:
            text = f"EC2NodeClass {chosen.name} has their tags filled in elsewhere"
            yield _unseen(f"{text}: found by {DISCOVERY_TAG}={there.cluster}, unless the file names them", noun)
        else:
            yield _missing(
                noun,
                f"EC2NodeClass {chosen.name} names no ids of them, and no tags whose values are written out: tag them "
                f"with {DISCOVERY_TAG}={there.cluster}, or write the tags that they have",
            )
    if chosen.own:
        text = f"{listed(chosen.own, 'and')}: not taken over, the new nodes are as the stack makes them"
        where = (
            "What pods need of it must stand at the pool, as far as there are keys: pools[] in docs/configuration.md"
        )
        yield _note(f"EC2NodeClass {chosen.name}", f"{text}. {where}")


def _pools(there: Inventory, proposal: Proposal) -> Iterator[Finding]:
    for pool in there.pools:
        if pool.open:
            continue
        about = f"NodePool {pool.name}"
        if pool.auto_mode:
            yield _note(about, "of EKS Auto Mode, whose device plugin gives whole GPUs alone")
        elif pool.filled_in:
            yield _note(about, "is a template: of what it may buy, parts are filled in elsewhere")
        elif pool.sharing and pool.sharing.shares and not there.overlays:
            yield _missing(about, f"{shared_words(pool)} without a NodeOverlay: Karpenter buys a GPU for each slot")
        if nodes := at(pool.node_pool.manifest, "spec").get("replicas"):
            text = f"is static: {nodes} of its nodes stay, whoever leaves them, until its replicas are fewer"
            supposed = any(node.pool == pool.name for node in proposal.leaving)
            yield _note(about, f"{text}, as the sums suppose" if supposed else text)
    if any(node.reserved and not node.block for node in there.nodes):
        text = (
            "is counted at its on-demand price, which AWS bills until the reservation ends, whether nodes use it or not"
        )
        yield _note("reserved capacity", text)
    if any(node.block for node in there.nodes):
        yield _note("capacity blocks", "are counted at the on-demand price: no cluster tells what was paid for them")
    if there.strange_nodes:
        yield _note("nodes", f"of types with GPUs that are not in the catalogue: {', '.join(there.strange_nodes)}")


def shared_words(pool: FoundPool) -> str:
    """How a pool's GPUs are shared, in a few words."""
    if pool.auto_mode:
        return "whole GPUs"
    if pool.sharing is None:
        return "nothing tells how its GPUs are shared"
    if not pool.sharing.shares:
        return "whole GPUs"
    slots = f", {pool.sharing.replicas} replicas" if pool.sharing.replicas else ""
    profile = f", {pool.sharing.mig_profile}" if pool.sharing.mig_profile else ""
    return f"{pool.sharing.strategy}{slots}{profile} by {pool.sharing.source}"


def _plugins(there: Inventory, *, has_file: bool) -> Iterator[Finding]:
    for plugin in there.plugins:
        about = f"{plugin.kind} {plugin.name}"
        if plugin.kind == "DRA driver":
            text = (
                "gives out the same GPUs by claims: nodes of the new pool must not be its own too. Pools with strategy "
                f"memory bring this driver themselves, and Helm ends at a DeviceClass {DEVICE_CLASS} that is not its "
                "release's: remove the driver, with this class, before you write such a pool"
            )
            yield _note(about, text)
        elif not plugin.reaches:
            yield _fits(about, "stays on nodes of its own")
    if not has_file:
        return
    found, joined = reaching(there), joined_plugin(there)
    if joined is not None:
        text = (
            f"gives the new nodes their slots too: the file adds an entry to its ConfigMap {joined.namespace}/"
            f"{joined.config_map} (gpuSharing.existing); its own entries and nodes stay as they are"
        )
        if joined.kind == "GPU Operator":
            text += ". Labels of the new nodes keep its driver, toolkit and MIG manager away: their image has them"
        yield _fits(f"{joined.kind} {joined.name}", text)
    elif found:
        why = "; ".join(f"{each.name}: {each.apart}" for each in found if each.apart) or "they are several"
        text = (
            "would run on the new nodes too, and two quarrel over the kubelet's socket: the file says ami: "
            f"bottlerocket, whose nodes are left out; or keep yours away from nodes with the label {POOL_LABEL}. "
            f"gpuSharing.existing does not do ({why})"
        )
        yield _note(listed([each.name for each in found], "and"), text)


def _others(there: Inventory) -> Iterator[Finding]:
    if there.engines:
        names = listed(there.engines, "and")
        text = "may refuse pods of the stack: look at their rules before `pulumi up`, which ends at what they refuse"
        yield _note(names, text)
    if there.knative:
        yield _note("Knative", "is there: a stack with models installs its own operator, and two quarrel")
    if not there.standing and there.counts.get("Node"):
        text = "have no label in common: write cluster.systemNodeLabels before models are served"
        yield _note("nodes that stay", text)


# --- Pods -------------------------------------------------------------------------------------------------------------


def _pods(there: Inventory, proposal: Proposal) -> Iterator[Finding]:
    if not there.work:
        if there.counts.get("Pod") or there.counts.get("Deployment"):
            yield _note("GPU pods", "none: nothing in this cluster asks for a GPU now")
        else:
            yield _unseen("no pods were read", "GPU pods", "kubectl get pods -A -o yaml")
        return
    assumed = sum(work.count for work, need in proposal.moves if need.said.startswith("assumed"))
    if assumed:
        text = (
            f"of {assumed} nobody knows how much GPU memory they need: half of a GPU is assumed for each. Say it with "
            f"--pod-mib MIB for all, or on a pod with the annotation {MEMORY_ANNOTATION}; nvidia-smi on a node shows it"
        )
        yield _note("memory of pods", text)
    waiting = sum(work.count for work, _ in proposal.moves if work.state == "waits")
    if waiting:
        yield _note("waiting pods", f"{waiting} have a slot in the proposal, and cost nothing today")
    groups = [node for node in proposal.leaving if not node.pool]
    if groups:
        text = f"{len(groups)} of no NodePool leave the sum when their group is scaled down, which nobody does for you"
        yield _note("GPU nodes", text)
    why = Counter[str]()
    for each in proposal.stays:
        why[each.why] += each.work.count
    if why:
        yield _note("pods that stay", "; ".join(f"{count}: {words}" for words, count in why.items()))
    if proposal.moves and proposal.replicas:
        text = "isolates no memory: a pod that takes more than its share takes it from the others"
        yield _note("time-slicing", text)
