"""What fits, what is missing and what to know before a stack shares the GPUs of a cluster that is there."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterator
from typing import Final

import versions
from adopt.finding import Finding, fits, missing, note, unseen
from adopt.inventory import Inventory
from adopt.karpenter_findings import karpenter_findings, refusal
from adopt.node_classes import NodeClass, Selected
from adopt.plugins import Plugin
from adopt.pool_findings import pool_findings
from adopt.proposal import Proposal
from adopt.stack_file import StackText, bringing, joined_plugin, model_class, reaching
from config.errors import key_of, listed
from gpu.contract import DEVICE_CLASS, DISCOVERY_TAG, MEMORY_ANNOTATION, OPERANDS_LABEL, POOL_LABEL


def findings(there: Inventory, proposal: Proposal, written: StackText) -> list[Finding]:
    """All that is to be said, in the order in which somebody would ask."""
    refused = refusal(there) is not None
    has_file = not written.problems and not refused
    return [
        *_versions(there, written, has_file=has_file),
        *karpenter_findings(there, proposal, has_file=has_file),
        *(() if refused else _joining(there)),
        *pool_findings(there, proposal, written),
        *_plugins(there, has_file=has_file),
        *_others(there, has_file=has_file),
        *_pods(there, proposal),
        *_unread(there),
        *(() if refused else _problems(written)),
    ]


def _unread(there: Inventory) -> Iterator[Finding]:
    """What could not be read: its name, and why."""
    for each in there.unseen:
        about, _, why = each.partition(": ")
        yield unseen(about, why)


#: Where a stack file says the cluster's version.
_VERSION: Final = ("cluster", "version")


def _problems(written: StackText) -> Iterator[Finding]:
    """Why no file loads, by the file's keys: what the cluster itself must have is told of the cluster."""
    yield from (missing(key_of(each.path), each.message) for each in written.problems if each.path != _VERSION)


def _versions(there: Inventory, written: StackText, *, has_file: bool) -> Iterator[Finding]:
    problem = next((each.message for each in written.problems if each.path == _VERSION), "")
    if not there.kubernetes:
        stands = f": {versions.EKS_DEFAULT_VERSION} stands in the file" if has_file else ""
        yield unseen("Kubernetes", f"nothing tells the version{stands}", "kubectl version")
    elif problem:
        yield missing("Kubernetes", f"{there.kubernetes} {problem}{_RAISE if _is_older(there.kubernetes) else ''}")
    else:
        yield fits("Kubernetes", there.kubernetes)


#: EKS user guide, "Update existing cluster to new Kubernetes version".
_RAISE: Final = ". Raise the cluster first, one minor version after the other"


def _is_older(kubernetes: str) -> bool:
    oldest = min(versions.EKS_STANDARD_SUPPORT_ENDS, key=_numbers)
    return _numbers(kubernetes) < _numbers(oldest)


def _numbers(version: str) -> list[int]:
    return [int(part) for part in version.split(".")]


# --- Nodes that join --------------------------------------------------------------------------------------------------


def _joining(there: Inventory) -> Iterator[Finding]:
    if there.karpenter is None:
        return
    chosen = model_class(there)
    if chosen is None:
        yield unseen("nodes", "no EC2NodeClass: write role and tags of yours", "kubectl get ec2nodeclasses -o yaml")
        return
    if chosen.filled_in:
        yield note("EC2NodeClass", f"{chosen.name} is a template: parts of it are filled in elsewhere")
    if chosen.role:
        yield fits("role of nodes", f"{chosen.role}, as in EC2NodeClass {chosen.name}")
    elif chosen.profile:
        look = f"aws iam get-instance-profile --instance-profile-name {chosen.profile}"
        yield unseen("role of nodes", f"EC2NodeClass {chosen.name} names a profile alone: write its role", look)
    else:
        why = "has it filled in elsewhere: write it" if chosen.filled_in else "names none"
        yield unseen("role of nodes", f"EC2NodeClass {chosen.name} {why}")
    for noun, selected in (("subnets", chosen.subnets), ("security groups", chosen.groups)):
        yield from _selected(there, chosen, noun, selected)
    if chosen.own:
        text = f"{listed(chosen.own, 'and')}: not taken over, the new nodes are as the stack makes them"
        where = (
            "What pods need of it must stand at the pool, as far as there are keys: pools[] in docs/configuration.md"
        )
        yield note(f"EC2NodeClass {chosen.name}", f"{text}. {where}")


def _selected(there: Inventory, chosen: NodeClass, noun: str, selected: Selected) -> Iterator[Finding]:
    """By what subnets or security groups are found, and what of the class' terms the file does not say."""
    said = ", ".join(f"{key}={value}" for key, value in selected.tags.items()) or ", ".join(selected.ids)
    if selected.found:
        said += f": those that Karpenter has found for EC2NodeClass {chosen.name}, whose terms a stack file cannot say"
    if selected:
        yield fits(noun, said)
    elif chosen.filled_in:
        text = f"EC2NodeClass {chosen.name} has their tags filled in elsewhere"
        yield unseen(noun, f"{text}: found by {DISCOVERY_TAG}={there.cluster}, unless the file names them")
        return
    else:
        text = f"EC2NodeClass {chosen.name} has neither ids nor tags of them: tag them with "
        yield missing(noun, f"{text}{DISCOVERY_TAG}={there.cluster}, or write the tags that they have")
        return
    if left := [f"({each})" for each in selected.left]:
        text = (
            f"EC2NodeClass {chosen.name} has {selected.terms} terms, and what any of them finds counts. A stack file "
            f"has the tags of one, or ids: left out is what {listed(left, 'and')} finds"
        )
        field, key = ("subnets", "subnetIds") if noun == "subnets" else ("securityGroups", "securityGroupIds")
        text += f". If nodes need it, write all ids under karpenter.existing.{key}, which Karpenter has noted there"
        look = shlex.join(("kubectl", "get", "ec2nodeclass", chosen.name, "-o", f"jsonpath={{.status.{field}[*].id}}"))
        yield note(noun, text, look)


def _plugins(there: Inventory, *, has_file: bool) -> Iterator[Finding]:
    for plugin in there.plugins:
        about = f"{plugin.kind} {plugin.name}"
        if plugin.supposed:
            text = f"its ClusterPolicy was not shown: that it brings {listed(plugin.brings, 'and')} is supposed"
            yield unseen(about, text, "kubectl get clusterpolicies.nvidia.com -o yaml")
        if plugin.kind == "DRA driver":
            text = (
                "gives out the same GPUs by claims: nodes of the new pool must not be its own too. Pools with strategy "
                f"memory bring this driver themselves, and Helm ends at a DeviceClass {DEVICE_CLASS} that is not its "
                "release's: remove the driver, with this class, before you write such a pool"
            )
            yield note(about, text)
        elif plugin.off:
            yield from _without_plugin(plugin, about, has_file=has_file)
        elif not plugin.reaches:
            yield fits(about, "stays on nodes of its own")
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
        yield fits(f"{joined.kind} {joined.name}", text)
    elif found:
        yield from _meeting(there, found)


def _meeting(there: Inventory, found: list[Plugin]) -> Iterator[Finding]:
    """Plugins that would run on the new nodes beside another. found: all of them."""
    why = "; ".join(f"{each.name}: {each.apart}" for each in found if each.apart) or "they are several"
    if len(found) == 1 and not found[0].apart and (operator := bringing(there)):
        why = f"{operator.name} would bring its {listed(operator.brings, 'and')} to the nodes"
    met = [each for each in found if each.meets]
    left = f"whose nodes are left out; or keep yours away from nodes with the label {POOL_LABEL}"
    text = (
        "would run on the new nodes too, and two quarrel over the kubelet's socket: the file says ami: bottlerocket, "
        f"{'whose nodes bring their own' if met else left}. gpuSharing.existing does not do ({why})"
    )
    yield note(listed([each.name for each in found], "and"), text)
    for each in met:
        text = (
            "would run on Bottlerocket's nodes too, beside their own plugin: it crashes there, or pods find no GPU. "
            f"Before `pulumi up` keep it away from nodes with the label {POOL_LABEL}, by a required node affinity with "
            f"{POOL_LABEL} DoesNotExist. Write it among the values of its chart or where else it is from, too: else "
            "what is installed again undoes the line. Its pods start anew"
        )
        yield missing(f"{each.kind} {each.name}", text, each.away)


def _without_plugin(operator: Plugin, about: str, *, has_file: bool) -> Iterator[Finding]:
    """A GPU Operator that gives out no GPUs."""
    text = "its device plugin is off: it gives out no GPUs, and does not meet the one of the new nodes"
    if not operator.brings:
        yield fits(about, text)
    elif has_file:
        text += (
            f". But it would bring them its {listed(operator.brings, 'and')}: the file says ami: bottlerocket, whose "
            f"nodes keep all of it away by the label {OPERANDS_LABEL}"
        )
        yield note(about, text)


def _others(there: Inventory, *, has_file: bool) -> Iterator[Finding]:
    if there.engines:
        names = listed(there.engines, "and")
        text = "may refuse pods of the stack: look at their rules before `pulumi up`, which ends at what they refuse"
        yield note(names, text)
    if there.knative:
        yield note("Knative", "is there: a stack with models installs its own operator, and two quarrel")
    # Where the stack brings Karpenter, more is to be said of them: adopt/karpenter_findings.py.
    if has_file and there.karpenter and not there.standing.labels and there.counts.get("Node"):
        text = (
            "have no label in common: write cluster.systemNodeLabels before a stack file has what runs there: models, "
            "a GPU Operator (gpuSharing.installer), a second scheduler (gpuSharing.scoringStrategy)"
        )
        yield note("nodes that stay", text)


# --- Pods -------------------------------------------------------------------------------------------------------------


def _pods(there: Inventory, proposal: Proposal) -> Iterator[Finding]:
    if not there.work:
        if there.counts.get("Pod") or there.counts.get("Deployment"):
            yield note("GPU pods", "none: nothing in this cluster asks for a GPU now")
        else:
            yield unseen("GPU pods", "no pods were read", "kubectl get pods -A -o yaml")
        return
    assumed = sum(work.count for work, need in proposal.moves if need.said.startswith("assumed"))
    if assumed:
        text = (
            f"of {assumed} nobody knows how much GPU memory they need: half of a GPU is assumed for each. Say it with "
            f"--pod-mib MIB for all, or on a pod with the annotation {MEMORY_ANNOTATION}; nvidia-smi on a node shows it"
        )
        yield note("memory of pods", text)
    waiting = sum(work.count for work, _ in proposal.moves if work.state == "waits")
    if waiting:
        yield note("waiting pods", f"{waiting} have a slot in the proposal, and cost nothing today")
    groups = [node for node in proposal.leaving if not node.pool]
    if groups:
        text = f"{len(groups)} of no NodePool leave the sum when their group is scaled down, which nobody does for you"
        yield note("GPU nodes", text)
    why = Counter[str]()
    for each in proposal.stays:
        why[each.why] += each.work.count
    if why:
        yield note("pods that stay", "; ".join(f"{count}: {words}" for words, count in why.items()))
    if proposal.moves and proposal.replicas:
        text = "isolates no memory: a pod that takes more than its share takes it from the others"
        yield note("time-slicing", text)
