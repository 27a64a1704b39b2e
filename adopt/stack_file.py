"""The stack file for a cluster that is there: what was seen, what nobody could see, and the pool that is proposed."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import versions
from adopt.inventory import Inventory
from adopt.karpenter import Karpenter
from adopt.node_classes import NodeClass, Selected
from adopt.plugins import Plugin
from adopt.proposal import Proposal
from adopt.standing import DEFAULT_LABEL
from config.checks.existing import OVERLAYS_SINCE
from config.errors import ConfigError, Problem
from config.load import parse
from config.schema import Cluster
from config.schema import Karpenter as KarpenterSection
from config.starter import MEANINGS
from gpu.contract import DISCOVERY_TAG
from gpu.standing import POD_IDENTITY_AGENT

_POOL: Final = "shared"


@dataclass(frozen=True, kw_only=True)
class StackText:
    """A stack file. values: by key without the project's name. problems: why it does not load; empty where it does.

    guessed: keys whose value nobody could see.
    """

    text: str
    values: Mapping[str, Any]
    problems: Sequence[Problem]
    guessed: tuple[str, ...]


def gate_is_on(there: Inventory) -> bool:
    """Whether Karpenter heeds overlays, without which it buys a GPU for each slot."""
    found = there.karpenter
    if found is None:
        return True  # none is there, and the stack's own heeds them
    if found.gates is None or "nodeOverlay" not in found.gates or not found.serves_overlays:
        return False
    return knows_overlays(found)


def knows_overlays(found: Karpenter) -> bool:
    """Whether Karpenter's version has overlays; also where nothing tells it."""
    return not found.version or tuple(int(part) for part in found.version.split(".")[:2]) >= OVERLAYS_SINCE


def stack_text(there: Inventory, proposal: Proposal, stack: str) -> StackText:
    """The stack file, and whether it is right: `config.load` says so, as it does for any other."""
    known, guessed = _existing(there)
    shared = _pool(there, proposal)
    if not gate_is_on(there):
        # What must not be bought yet stands beside it as a comment.
        shared = {**shared, "sharing": {"strategy": "none"}}
    values: dict[str, Any] = {
        "cluster": {"existing": there.cluster, **known["cluster"]},
        **({"karpenter": known["karpenter"]} if known["karpenter"] else {}),
        **({"network": {"existing": known["network"]}} if known["network"] else {}),
        **_sharing_of(there),
        "cpuPools": [],
        "pools": [shared],
        "examples": False,
    }
    problems: Sequence[Problem] = ()
    try:
        parse(values, stack=stack, region=there.region)
    except ConfigError as error:
        problems = error.problems
    return StackText(
        text="\n".join(_lines(there, proposal, values, guessed)) + "\n",
        values=values,
        problems=problems,
        guessed=tuple(guessed),
    )


# --- What is there ----------------------------------------------------------------------------------------------------


def _existing(there: Inventory) -> tuple[dict[str, dict[str, Any]], dict[str, str]]:
    """Sections `cluster`, `karpenter` and `network.existing`; and of values that nobody saw, how to look."""
    guessed: dict[str, str] = {}
    if not there.kubernetes:
        guessed["cluster.version"] = "kubectl version"
    cluster: dict[str, Any] = {"version": there.kubernetes or versions.EKS_DEFAULT_VERSION}
    if there.standing.labels and there.standing.labels != DEFAULT_LABEL:
        cluster["systemNodeLabels"] = dict(there.standing.labels)
    if there.karpenter is None:
        return _for_own(there, cluster, guessed), guessed
    found = there.karpenter
    if not found.version:
        guessed["karpenter.existing.chartVersion"] = "helm list -A"
    chosen = model_class(there)
    role = chosen.role if chosen else ""
    if not role:
        guessed["karpenter.existing.nodeRole"] = "kubectl get ec2nodeclasses -o yaml"
    karpenter: dict[str, Any] = {
        "chartVersion": found.version or versions.KARPENTER_VERSION,
        "nodeRole": role or f"KarpenterNodeRole-{there.cluster}"[:64],
        "featureGates": sorted(found.gates or ()),
    }
    standard = {DISCOVERY_TAG: there.cluster}
    subnets, groups = (chosen.subnets, chosen.groups) if chosen else (Selected(), Selected())
    for tags, ids, selected in (
        ("subnetTags", "subnetIds", subnets),
        ("securityGroupTags", "securityGroupIds", groups),
    ):
        if selected.ids and not selected.tags:
            karpenter[ids] = list(selected.ids)
        elif selected.tags not in ({}, standard):
            karpenter[tags] = dict(selected.tags)
    return {"cluster": cluster, "karpenter": {"existing": karpenter}, "network": {}}, guessed


def _for_own(there: Inventory, cluster: dict[str, Any], guessed: dict[str, str]) -> dict[str, dict[str, Any]]:
    """The same sections for a Karpenter of the stack's own. cluster, guessed: more of each is put there."""
    if there.authentication_mode:
        cluster["authenticationMode"] = there.authentication_mode
    else:
        guessed["cluster.authenticationMode"] = describe(there, "accessConfig.authenticationMode")
    if there.network is None:
        guessed["network.existing"] = describe(there, "resourcesVpcConfig")
    if there.rights.agent is None:
        guessed["karpenter.identity"] = list_addons(there)
    identity = there.rights.identity
    return {
        "cluster": cluster,
        "karpenter": {"identity": identity} if identity != KarpenterSection.model_fields["identity"].default else {},
        "network": {key: list(values) for key, values in (there.network or {}).items()},
    }


def describe(there: Inventory, part: str) -> str:
    """The command that shows a part of a cluster as EKS knows it."""
    words = ("aws", "eks", "describe-cluster", "--region", there.region, "--name", there.cluster)
    return shlex.join((*words, "--query", f"cluster.{part}"))


def list_addons(there: Inventory) -> str:
    """The command that lists a cluster's add-ons."""
    return shlex.join(("aws", "eks", "list-addons", "--region", there.region, "--cluster-name", there.cluster))


def model_class(there: Inventory) -> NodeClass | None:
    """The node class after whose like the new nodes join: of a pool with GPUs, that tells most."""
    used = {pool.node_class for pool in there.pools if not pool.open}
    return max(
        there.node_classes,
        key=lambda each: (bool(each.role), bool(each.subnets), bool(each.groups), each.name in used),
        default=None,
    )


def reaching(there: Inventory) -> list[Plugin]:
    """Plugins that would run on nodes of ours too."""
    return [plugin for plugin in there.plugins if plugin.reaches and plugin.kind != "DRA driver" and not plugin.off]


def bringing(there: Inventory) -> Plugin | None:
    """A GPU Operator whose device plugin is off, and which would bring to nodes of ours what their image has."""
    return next((plugin for plugin in there.plugins if plugin.off and plugin.brings), None)


def joined_plugin(there: Inventory) -> Plugin | None:
    """The plugin that takes the pool's configuration too; None where none does, or several would run there."""
    found = reaching(there)
    return found[0] if len(found) == 1 and not found[0].apart and bringing(there) is None else None


def needs_own_nodes(there: Inventory) -> bool:
    """Whether nodes of ours must have all of their own, since what is there would come to them too."""
    return bringing(there) is not None or (bool(reaching(there)) and joined_plugin(there) is None)


def _sharing_of(there: Inventory) -> dict[str, Any]:
    """Section `gpuSharing`, where a plugin that is there is given the pool's configuration."""
    plugin = joined_plugin(there)
    if plugin is None:
        return {}
    installer = "gpu-operator" if plugin.kind == "GPU Operator" else "device-plugin"
    where = {"configMap": plugin.config_map, "namespace": plugin.namespace}
    return {"gpuSharing": {"installer": installer, "existing": where}}


def _pool(there: Inventory, proposal: Proposal) -> dict[str, Any]:
    names = (_POOL, *(f"{_POOL}-{number}" for number in range(2, 1000)))
    found: dict[str, Any] = {"name": next(name for name in names if name not in there.taken)}
    if proposal.families:
        found["instanceFamilies"] = list(proposal.families)
    else:
        found["instanceTypes"] = list(proposal.types)
    if proposal.counts != (1,) and proposal.families:
        found["gpusPerNode"] = list(proposal.counts)
    found["maxGpus"] = proposal.max_gpus
    if needs_own_nodes(there):
        found["ami"] = "bottlerocket"
    sharing = {"strategy": "time-slicing", "replicas": proposal.replicas} if proposal.replicas else {"strategy": "none"}
    return {**found, "sharing": sharing}


# --- Its text ---------------------------------------------------------------------------------------------------------


def _lines(
    there: Inventory, proposal: Proposal, values: Mapping[str, Any], guessed: Mapping[str, str]
) -> Iterator[str]:
    pool = values["pools"][0]
    yield "# yaml-language-server: $schema=docs/stack.schema.json"
    yield f"# Written by `slices adopt` for the cluster {there.cluster}, of which nothing is changed: docs/adopting.md."
    yield "config:"
    yield f"  aws:region: {there.region}"
    yield "  gpu-slices:cluster:"
    yield from _section(values["cluster"], "    ", guessed, "cluster")
    if "existing" in values.get("karpenter", {}):
        yield "  gpu-slices:karpenter:"
        yield "    existing:"
        yield from _section(values["karpenter"]["existing"], "      ", guessed, "karpenter.existing")
    else:
        yield from _for_own_karpenter(there, values, guessed)
    if "gpuSharing" in values:
        yield "  # The cluster's own plugin runs on the new nodes too: it gets their configuration as one entry more."
        yield "  gpu-slices:gpuSharing:"
        yield from _section(values["gpuSharing"], "    ", guessed, "gpuSharing")
    yield "  # None: without taints they would buy nodes for pods of others."
    yield "  gpu-slices:cpuPools: []"
    yield "  gpu-slices:pools:"
    for number, (key, value) in enumerate(pool.items()):
        if key == "sharing":
            yield from _sharing(proposal, value)
        elif key == "ami":
            what = "A plugin of the cluster would run on" if reaching(there) else "The GPU Operator would come to"
            if any(plugin.meets for plugin in reaching(there)):
                yield f"      # {what} these nodes too. Bottlerocket's bring their own: keep it away from"
                yield "      # them before `pulumi up`, by the line that `slices adopt` prints."
            else:
                yield f"      # {what} these nodes too; Bottlerocket's are left out of it."
        if key == "maxGpus":
            yield "      # Most GPUs at a time: none is bought before a pod asks for a slot."
        yield f"    {'- ' if number == 0 else '  '}{key}: {flow(value)}"
    yield "  # Nobody needs the example workloads in a cluster with work of its own."
    yield "  gpu-slices:examples: false"


def _for_own_karpenter(there: Inventory, values: Mapping[str, Any], guessed: Mapping[str, str]) -> Iterator[str]:
    """How the cluster lets nodes in, and where they go; what nobody saw as comments, with the way to look."""
    if look := guessed.get("cluster.authenticationMode"):
        default = Cluster.model_fields["authentication_mode"].default
        yield f"    # How it lets nodes in: {default} is supposed. Write what this says:"
        yield f"    # {look}"
        yield f"    # authenticationMode: {default}"
    if "karpenter" in values:
        yield "  # No Pod Identity agent runs here: Karpenter gets its role by the cluster's OIDC provider in IAM."
        yield "  gpu-slices:karpenter:"
        yield from _section(values["karpenter"], "    ", guessed, "karpenter")
    elif look := guessed.get("karpenter.identity"):
        yield "  # Karpenter gets its role by EKS Pod Identity, it is supposed. Where this does not name its agent,"
        yield f"  # {POD_IDENTITY_AGENT}:"
        yield f"  # {look}"
        yield "  # gpu-slices:karpenter: { identity: irsa }"
    if "network" in values:
        yield "  # Where nodes go: private subnets of the cluster, and the security group that EKS made for it."
        yield "  gpu-slices:network:"
        yield "    existing:"
        yield from _section(values["network"]["existing"], "      ", guessed, "network.existing")
    elif look := guessed.get("network.existing"):
        yield f"  # Nodes go where the tag {DISCOVERY_TAG}: {flow(there.cluster)} is. Where nothing has it, name"
        yield "  # private subnets and a security group of the cluster:"
        yield f"  # {look}"
        yield "  # gpu-slices:network:"
        yield "  #   existing: { subnetIds: [subnet-ID, subnet-ID], securityGroupIds: [sg-ID] }"


def _sharing(proposal: Proposal, written: Mapping[str, Any]) -> Iterator[str]:
    if not proposal.replicas:
        yield "      # No pod that was seen fits half of a GPU: each has a whole one."
        return
    meant = {"strategy": "time-slicing", "replicas": proposal.replicas}
    mib = proposal.pool.slot_memory_mib
    if written != meant:
        yield "      # Karpenter heeds no NodeOverlay yet, or nobody saw it: it would buy a GPU for each slot. With"
        yield "      # their definition, and settings.featureGates.nodeOverlay: true in its chart, write [nodeOverlay]"
        yield "      # above, and here:"
        yield f"      # sharing: {flow(meant)}"
        return
    begin = "" if proposal.moves else "No pod was seen that fits: a beginning. "
    yield f"      # {begin}{proposal.replicas} slots per GPU, each with {mib:,} MiB: {MEANINGS['time-slicing']}."


def _section(values: Mapping[str, Any], indent: str, guessed: Mapping[str, str], path: str) -> Iterator[str]:
    for key, value in values.items():
        if look := guessed.get(f"{path}.{key}"):
            yield f"{indent}# Nobody saw it: `{look}` says it."
        yield f"{indent}{key}: {flow(value)}"


#: Texts that YAML reads as themselves, and nothing else.
_PLAIN: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]*[-/][A-Za-z0-9_/-]*|[a-z]+\d+[a-z]*(\.\w+)?|[A-Za-z]{4,}")


def flow(value: Any) -> str:
    """A value in one line."""
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{flow(key)}: {flow(each)}" for key, each in value.items()) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(flow(each) for each in value) + "]"
    if isinstance(value, str) and _PLAIN.fullmatch(value) and value.lower() not in ("true", "false", "null"):
        return value
    return json.dumps(value, ensure_ascii=False)
