"""A component of pulumi-eks gets the same verdict in every picture: a plan's, and the engine's of old and new SDKs."""

from __future__ import annotations

from typing import Any, Final

import pytest

from policy.analyzer import Recorded
from policy.framework import Rule, matches
from policy.pack import RULES
from tests.policy.clusters import COMPONENT, LOG_TYPES, cluster
from tests.policy.eks_components import MANAGED, V1, V2, silent, spoken
from tests.policy.support import UNKNOWN, judged, recorded

NO_NODES: Final[dict[str, Any]] = {"skipDefaultNodeGroup": True}
TEMPLATE: Final = {"launchTemplate": {"id": UNKNOWN, "version": UNKNOWN}}


def eks(**changes: Any) -> Recorded:
    return recorded(COMPONENT, {**cluster(COMPONENT, **changes), **NO_NODES}, "cluster")


def group(type_: str, **inputs: Any) -> Recorded:
    return recorded(type_, {"cluster": UNKNOWN, **inputs}, "nodes")


def default_group(**inputs: Any) -> Recorded:
    return recorded(COMPONENT, {**cluster(COMPONENT), **inputs}, "cluster")


ENCRYPTED: Final = {"instanceType": "m7g.large", "nodeRootVolumeEncrypted": True}

#: For each rule that looks at a component: components that it must refuse, and some that it must not.
CASES: Final[dict[str, tuple[list[Recorded], list[Recorded]]]] = {
    "eks-control-plane-logs": ([eks(enabledClusterLogTypes=LOG_TYPES[1:])], [eks()]),
    "eks-endpoint-allowlist": (
        [eks(publicAccessCidrs=["0.0.0.0/0"]), eks(publicAccessCidrs=None), eks(publicAccessCidrs=UNKNOWN)],
        [eks(), eks(endpointPublicAccess=False, publicAccessCidrs=None)],
    ),
    "eks-private-endpoint": ([eks(endpointPrivateAccess=None), eks(endpointPrivateAccess=False)], [eks()]),
    "eks-secrets-encrypted": ([eks(encryptionConfigKeyArn=None)], [eks(), eks(encryptionConfigKeyArn=UNKNOWN)]),
    "eks-standard-support": ([eks(supportType=None), eks(supportType="EXTENDED")], [eks()]),
    "eks-support-ends-soon": ([eks(version="1.34")], [eks()]),
    "eks-supported-version": ([eks(version=None), eks(version="1.30")], [eks()]),
    "node-encrypted-volumes": (
        [
            group(V1, instanceType="m7g.large"),
            group(V2, instanceType="m7g.large"),
            group(V2, nodeRootVolumeEncrypted=False),
            group(MANAGED, instanceTypes=["m7g.large"]),
            default_group(),
        ],
        [group(V1, **ENCRYPTED), group(V2, **ENCRYPTED), group(MANAGED, **TEMPLATE), default_group(**ENCRYPTED), eks()],
    ),
    "node-imdsv2": (
        [group(V1, **ENCRYPTED), group(V2, **ENCRYPTED), group(MANAGED), default_group()],
        [group(MANAGED, **TEMPLATE), eks()],
    ),
    "node-no-ssh": (
        [
            group(V1, keyName="admin"),
            group(V2, nodePublicKey="ssh-ed25519 AAAA"),
            group(MANAGED, remoteAccess={"ec2SshKey": "admin"}),
            default_group(nodePublicKey="ssh-ed25519 AAAA"),
        ],
        [group(V1), group(V2), group(MANAGED), default_group(), eks()],
    ),
    "gpu-on-demand-needs-justification": (
        [
            group(V1, instanceType="g5.xlarge"),
            group(V2, instanceType="g5.xlarge"),
            group(MANAGED, instanceTypes=["g5.xlarge"]),
            default_group(instanceType="g5.xlarge"),
            default_group(nodeGroupOptions={"instanceType": "g5.xlarge"}),
        ],
        [
            group(V1, instanceType="g5.xlarge", spotPrice="1"),
            group(V2, instanceType="g5.xlarge", spotPrice="1"),
            group(MANAGED, instanceTypes=["g5.xlarge"], capacityType="SPOT"),
            eks(),
        ],
    ),
    "gpu-launch-template-is-spot": ([], [group(V2, instanceType="g5.xlarge", spotPrice="1"), eks()]),
    "gpu-ceiling-per-stack": (
        [
            group(V1, instanceType="g5.xlarge", maxSize=17),
            group(V2, instanceType="g5.xlarge", maxSize=17),
            group(V2, instanceType="p5.48xlarge", maxSize=3),
            group(MANAGED, instanceTypes=["g5.xlarge"], scalingConfig={"maxSize": 17}),
            default_group(instanceType="g5.xlarge", maxSize=17),
            default_group(nodeGroupOptions={"instanceType": "g5.12xlarge", "maxSize": 5}),
        ],
        [
            # Two nodes where nothing is said; 16 GPUs once, not as a component and again as what is inside.
            group(V2, instanceType="p5.48xlarge"),
            group(V2, instanceType="g5.xlarge", maxSize=16),
            group(MANAGED, instanceTypes=["p5.48xlarge"], scalingConfig={"desiredSize": 1}),
            group(V1, instanceType="m7g.large", maxSize=100),
            eks(),
        ],
    ),
    "eks-component-contents": ([recorded(COMPONENT, {}), recorded(V2, {}), recorded(MANAGED, {})], [eks()]),
}
BY_NAME: Final = {rule.name: rule for rule in RULES}


def _cases(kind: int) -> list[Any]:
    return [
        pytest.param(BY_NAME[name], component, id=f"{name}: {component.type} {number}")
        for name, both in CASES.items()
        for number, component in enumerate(both[kind])
    ]


def test_every_rule_that_looks_at_a_component_has_cases() -> None:
    types = (COMPONENT, MANAGED, V1, V2)
    looking = {rule.name for rule in RULES if any(matches(rule.types, type_) for type_ in types)}
    assert looking == set(CASES)


@pytest.mark.parametrize(("rule", "component"), _cases(1))
def test_what_is_right_passes_in_every_picture(rule: Rule, component: Recorded) -> None:
    for picture in ([component], silent(component), spoken(component)):
        assert [verdict.message for verdict in judged(rule, *picture)] == []


@pytest.mark.parametrize(
    ("rule", "component"), [case for case in _cases(0) if case.values[0].name != "eks-component-contents"]
)
def test_what_is_wrong_fails_in_every_picture(rule: Rule, component: Recorded) -> None:
    assert judged(rule, component)
    assert judged(rule, *spoken(component))
    # A component that says nothing is judged by what is inside it: its launch template has a rule of its own.
    inside = [BY_NAME["gpu-launch-template-is-spot"]] if rule.name == "gpu-on-demand-needs-justification" else []
    verdicts = [verdict for each in (rule, *inside) for verdict in judged(each, *silent(component))]
    assert verdicts
    assert component.urn not in {verdict.urn for verdict in verdicts}  # it has nothing wrong to show
