"""What a program's resources carry: every object that reaches AWS or a cluster, whatever it is wrapped in.

A NodePool is the same NodePool as a typed resource, in a `List`, in the text of a ConfigGroup, in a chart's values, in
a template of kro or Crossplane; a node group is the same in CloudFormation, Cloud Control, AWS Native, ACK, Crossplane
and a bridged Terraform provider. `unfold` gives each as one item in the one form that rules know: tokens and inputs of
`aws` and `kubernetes`. What cannot be seen is an item too (`Blind`), never nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from fnmatch import translate
from functools import cache
from typing import Any, Final

from policy.inventory import aws, charts, cloudformation, kubernetes, machines
from policy.inventory.gaps import gaps
from policy.inventory.item import Blind, Item, as_wire
from policy.placeholders import all_known, without_placeholders

__all__ = ["Blind", "Item", "as_wire", "carries", "unfold"]

Reader = Callable[[Item], Iterator[Item | Blind]]

#: Wrappers within wrappers, and objects of one resource: more are not looked at, and that is said.
_DEEPEST: Final = 8
_MOST: Final = 5_000

#: Kubernetes' own groups, and those of its network and storage, whose kinds hold no pods.
_BUILT_IN: Final = (
    *("admissionregistration", "apiextensions", "apiregistration", "authentication", "authorization", "autoscaling"),
    *("certificates", "coordination", "discovery", "events", "flowcontrol.apiserver", "gateway.networking", "internal"),
    *("metrics", "networking", "node", "policy.networking", "rbac.authorization", "resource", "scheduling", "storage"),
    *("snapshot.storage", "storagemigration"),
)
#: Shell patterns over type tokens to what reads such a carrier; the first that fits counts. None: it carries nothing,
#: since rules know it as it is, or since it only chooses, forbids, describes or stores.
_READERS: Final[tuple[tuple[str, Reader | None], ...]] = (
    ("aws:cloudformation/stack*", cloudformation.stack),
    ("aws-native:cloudformation:Stack*", cloudformation.stack),
    ("aws:cloudcontrol*:Resource", cloudformation.cloud_control),
    ("aws-native:cloudcontrol:Resource", cloudformation.cloud_control),
    ("aws-native:index:ExtensionResource", cloudformation.extension),
    ("aws-native:*", aws.of_native),
    ("aws:index/*", aws.of_bridged),
    ("aws:*", None),
    ("eks:*", None),
    ("pulumi:*", None),
    ("command:*", kubernetes.commands),
    ("kubectl:*", kubernetes.texts),
    ("kubernetes:yaml*", kubernetes.texts),
    ("kubernetes:kustomize:*", kubernetes.kustomization),
    ("kubernetes:kustomize/*", kubernetes.kustomization),
    ("kubernetes:helm.sh/*", charts.release),
    ("kubernetes:*.services.k8s.aws/*:ManagedPrefixList", aws.of_ack),  # no list of objects
    ("kubernetes:*.upbound.io/*:ManagedPrefixList", aws.of_crossplane),
    ("kubernetes:*List", kubernetes.of_list),
    ("kubernetes:argoproj.io/*:Application", charts.argo),
    ("kubernetes:argoproj.io/*:ApplicationSet", charts.argo_set),
    ("kubernetes:argoproj.io/*:Rollout", kubernetes.referring),
    ("kubernetes:argoproj.io/*:RolloutPatch", None),
    ("kubernetes:helm.toolkit.fluxcd.io/*:HelmRelease", charts.flux),
    ("kubernetes:kustomize.toolkit.fluxcd.io/*:Kustomization", kubernetes.patched),
    ("kubernetes:helm.cattle.io/*:HelmChart", charts.k3s),
    ("kubernetes:helm.cattle.io/*:HelmChartConfig", charts.k3s_config),
    ("kubernetes:helm*.crossplane.io/*:Release", charts.crossplane),
    ("kubernetes:kro.run/*:ResourceGraphDefinition", kubernetes.kro),
    ("kubernetes:apiextensions.crossplane.io/*:Composition", kubernetes.composition),
    ("kubernetes:tf.upbound.io/*:Workspace", kubernetes.workspace),
    ("kubernetes:*tf.m.upbound.io/*:Workspace", kubernetes.workspace),
    ("kubernetes:addons.cluster.x-k8s.io/*:ClusterResourceSet", kubernetes.stored),
    ("kubernetes:*.services.k8s.aws/*", aws.of_ack),
    ("kubernetes:*.aws.upbound.io/*", aws.of_crossplane),
    ("kubernetes:*.aws.m.upbound.io/*", aws.of_crossplane),
    ("kubernetes:*.aws.crossplane.io/*", aws.of_crossplane),
    ("kubernetes:infrastructure.cluster.x-k8s.io/*", machines.capi),
    ("kubernetes:controlplane.cluster.x-k8s.io/*", machines.capi),
    ("kubernetes:eksctl.io/*:ClusterConfig", machines.eksctl),
    (machines.GROUPS_ALONE, machines.eksctl_groups),
    ("kubernetes:core/*", None),
    ("kubernetes:apps/*", None),
    ("kubernetes:batch/*", kubernetes.jobs),
    ("kubernetes:extensions/*", None),
    ("kubernetes:autoscaling/*", None),
    ("kubernetes:policy/*", None),
    ("kubernetes:*karpenter*", None),
    ("kubernetes:serving.knative.dev/*", None),
    ("kubernetes:jobset.x-k8s.io/*", None),
    ("kubernetes:leaderworkerset.x-k8s.io/*", None),
    ("kubernetes:kyverno.io/*", kubernetes.kyverno),
    ("kubernetes:policies.kyverno.io/*", None),
    ("kubernetes:*.gatekeeper.sh/*", None),
    ("kubernetes:monitoring.coreos.com/*", None),
    ("kubernetes:external-secrets.io/*", None),  # these make Secrets
    ("kubernetes:bitnami.com/*:SealedSecret", None),
    *((f"kubernetes:{group}.k8s.io/*", None) for group in _BUILT_IN),
    ("kubernetes:*", kubernetes.custom),
    ("*", kubernetes.anything),
)
_PATTERNS: Final = tuple((re.compile(translate(pattern)), reader) for pattern, reader in _READERS)


#: Readers of what no rule understands as it is: what is unknown in it is said here, or by nobody.
_OPAQUE: Final = frozenset(
    {
        *(charts.release, charts.argo, charts.argo_set, charts.flux, charts.k3s, charts.k3s_config),
        charts.crossplane,
        *(kubernetes.commands, kubernetes.patched, kubernetes.kro, kubernetes.composition, kubernetes.kyverno),
        *(kubernetes.custom, kubernetes.anything, kubernetes.workspace, kubernetes.texts),
    }
)


@cache
def _reader(type_: str) -> Reader | None:
    return next(reader for pattern, reader in _PATTERNS if pattern.match(type_))


@cache
def _special(type_: str) -> bool:
    """Whether a kind has a reader of its own, by which a patch of it is read as well."""
    plain = {None, kubernetes.custom, kubernetes.anything, kubernetes.jobs, kubernetes.referring}
    return _reader(type_) not in plain


def carries(type_: str) -> bool:
    """Whether a resource of this type may carry others, or has another form that rules know."""
    return _reader(type_) is not None


def unfold(type_: str, props: Mapping[str, Any]) -> list[Item | Blind]:
    """The resource in the form that rules know, unless it is only a wrapper, and everything that it carries.

    props: inputs as plain data (`policy.reading.plain`). The resource's own item has no place.
    """
    found: list[Item | Blind] = []
    known = all_known(props)
    whole = Item(type_, props if known else without_placeholders(props))
    _unfold(whole, found, 0)
    if not known and _reader(type_) in _OPAQUE:
        said = {one.place for one in found if isinstance(one, Blind)}
        found += (gap for gap in gaps(whole) if gap.place not in said)
    return found


def _unfold(item: Item, found: list[Item | Blind], depth: int) -> None:
    if item.type.startswith("kubernetes:") and item.type.endswith("Patch") and _special(item.type[: -len("Patch")]):
        item = replace(item, type=item.type[: -len("Patch")])
    if item.place:  # the whole is read already
        item = replace(item, props=without_placeholders(item.props))
    reader = None if item.looked_through else _reader(item.type)
    if reader is None:
        found.append(item)
        return
    if depth > _DEEPEST or len(found) > _MOST:
        found.append(Blind(item.place, "is wrapped too deep, or holds too many objects"))
        return
    for inside in reader(item):
        if isinstance(inside, Blind):
            found.append(inside)
        else:
            _unfold(inside, found, depth + 1)
