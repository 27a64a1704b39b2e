"""Destruction order, on the recorded dependency graph of the whole program.

Pulumi deletes a resource after all that depend on it. Edges are explicit dependencies, outputs used as inputs, and the
provider; what merely shares a component has no order.
"""

from collections.abc import Callable, Iterable

import pytest

from plan.monitor import Resource
from plan.record import Recording
from tests.plan.conftest import STACKS

NODE_POOL = "kubernetes:karpenter.sh/v1:NodePool"
NODE_OVERLAY = "kubernetes:karpenter.sh/v1alpha1:NodeOverlay"
NODE_CLASS = "kubernetes:karpenter.k8s.aws/v1:EC2NodeClass"
RELEASE = "kubernetes:helm.sh/v3:Release"

#: AWS resources that Karpenter, its nodes and their finalizers need until the last instance is gone.
NEEDED_IN_AWS = (
    "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup",
    "aws:ec2/internetGateway:InternetGateway",
    "aws:ec2/natGateway:NatGateway",
    "aws:ec2/route:Route",
    "aws:ec2/routeTable:RouteTable",
    "aws:ec2/routeTableAssociation:RouteTableAssociation",
    "aws:ec2/subnet:Subnet",
    "aws:ec2/tag:Tag",
    "aws:ec2/vpc:Vpc",
    "aws:ec2/vpcEndpoint:VpcEndpoint",
    "aws:eks/accessEntry:AccessEntry",
    "aws:eks/addon:Addon",
    "aws:eks/nodeGroup:NodeGroup",
    "aws:eks/podIdentityAssociation:PodIdentityAssociation",
    "aws:iam/policy:Policy",
    "aws:iam/role:Role",
    "aws:iam/rolePolicyAttachment:RolePolicyAttachment",
    "aws:cloudwatch/eventRule:EventRule",
    "aws:cloudwatch/eventTarget:EventTarget",
    "aws:kms/key:Key",
    "aws:sqs/queue:Queue",
    "aws:sqs/queuePolicy:QueuePolicy",
    "eks:index:Cluster",
)
#: Resources of those types that nothing of Karpenter's needs.
NOT_NEEDED = ("network-flow-logs", "network-default", "budget-brake", "budget-executor")


class Graph:
    """Which resources Pulumi deletes only after a given one, and creates before it.

    The engine also counts a resource's parent among its dependencies (pkg/resource/graph/dependency_graph.go), so what
    a component depends on orders its children; ``parents`` tells whether that is counted here.
    """

    def __init__(self, recording: Recording, *, parents: bool = False) -> None:
        self._parents = parents
        self._edges = {resource.urn: self._direct(resource) for resource in recording.resources}

    def _direct(self, resource: Resource) -> set[str]:
        used = {urn for urns in resource.property_dependencies.values() for urn in urns}
        parent = [resource.parent] if self._parents else []
        return {*resource.dependencies, *used, *parent, *([resource.provider] if resource.provider else [])}

    def deleted_after(self, resource: Resource) -> set[str]:
        """URNs of everything that is still there when the resource's deletion has ended."""
        seen: set[str] = set()
        todo = [resource.urn]
        while todo:
            for urn in self._edges.get(todo.pop(), set()) - seen:
                seen.add(urn)
                todo.append(urn)
        return seen

    def missing(self, first: Iterable[Resource], then: Iterable[Resource]) -> list[str]:
        """Pairs of which nothing says that the first goes before the second."""
        later = list(then)
        return [
            f"{resource.name} before {other.name}"
            for resource in first
            for after in [self.deleted_after(resource)]
            for other in later
            if other.urn not in after
        ]


def _releases(recording: Recording, *names: str) -> list[Resource]:
    return [resource for resource in recording.of_type(RELEASE) if resource.inputs["name"] in names]


@pytest.mark.parametrize("stack", STACKS)
def test_nodes_go_before_all_that_karpenter_needs_to_end_them(stack: str, recorded: Callable[[str], Recording]) -> None:
    recording = recorded(stack)
    graph = Graph(recording)
    pools = recording.of_type(NODE_POOL)
    needed = [r for type_ in NEEDED_IN_AWS for r in recording.of_type(type_) if r.name not in NOT_NEEDED]
    assert len(pools) >= 3
    assert {r.type for r in needed} == set(NEEDED_IN_AWS) - {"aws:ec2/defaultSecurityGroup:DefaultSecurityGroup"}
    assert graph.missing(pools, needed) == []
    controllers = _releases(recording, "karpenter", "karpenter-crd")
    assert len(controllers) == 2
    assert graph.missing(pools, controllers) == []
    assert graph.missing(_releases(recording, "karpenter"), needed) == []


@pytest.mark.parametrize("stack", STACKS)
def test_node_pools_go_before_their_classes_and_overlays_and_these_before_the_controller(
    stack: str, recorded: Callable[[str], Recording]
) -> None:
    recording = recorded(stack)
    graph = Graph(recording)
    for pool in recording.of_type(NODE_POOL):
        name = pool.inputs["metadata"]["name"]
        node_class = [c for c in recording.of_type(NODE_CLASS) if c.inputs["metadata"]["name"] == name]
        overlays = [o for o in recording.of_type(NODE_OVERLAY) if o.inputs["metadata"]["name"].startswith(f"{name}-")]
        assert len(node_class) == 1
        assert graph.missing([pool], [*node_class, *overlays]) == []
    under_controller = [*recording.of_type(NODE_CLASS), *recording.of_type(NODE_OVERLAY)]
    assert graph.missing(under_controller, _releases(recording, "karpenter", "karpenter-crd")) == []
    assert graph.missing(_releases(recording, "karpenter"), _releases(recording, "karpenter-crd")) == []


@pytest.mark.parametrize("stack", STACKS)
def test_workloads_go_before_the_nodes_they_run_on(stack: str, recorded: Callable[[str], Recording]) -> None:
    recording = recorded(stack)
    graph = Graph(recording)
    workloads = [
        resource
        for type_ in ("kubernetes:apps/v1:Deployment", "kubernetes:batch/v1:CronJob", "kubernetes:batch/v1:Job")
        for resource in recording.of_type(type_)
    ]
    assert len(workloads) >= 3
    assert graph.missing(workloads, recording.of_type(NODE_POOL)) == []


@pytest.mark.parametrize("stack", STACKS)
def test_gpu_nodes_go_before_the_device_plugin(stack: str, recorded: Callable[[str], Recording]) -> None:
    recording = recorded(stack)
    pools = [p for p in recording.of_type(NODE_POOL) if "taints" in p.inputs["spec"]["template"]["spec"]]
    assert pools
    assert Graph(recording).missing(pools, _releases(recording, "nvidia-device-plugin")) == []


@pytest.mark.parametrize("stack", STACKS)
def test_finalizers_always_run_and_have_time_to(stack: str, recorded: Callable[[str], Recording]) -> None:
    recording = recorded(stack)
    for type_ in (NODE_POOL, NODE_CLASS, NODE_OVERLAY):
        for resource in recording.of_type(type_):
            assert not resource.deleted_with
            assert not resource.retain_on_delete
            assert resource.custom_timeouts["delete"] == "30m"


@pytest.mark.parametrize("stack", STACKS)
def test_what_belongs_to_the_cluster_comes_after_it_and_goes_before_it(
    stack: str, recorded: Callable[[str], Recording]
) -> None:
    recording = recorded(stack)
    inside = [
        resource
        for type_ in (
            "aws:ec2/tag:Tag",
            "aws:eks/accessEntry:AccessEntry",
            "aws:eks/addon:Addon",
            "aws:eks/nodeGroup:NodeGroup",
            "aws:eks/podIdentityAssociation:PodIdentityAssociation",
            "pulumi:providers:kubernetes",
        )
        for resource in recording.of_type(type_)
    ]
    assert len(inside) >= 11
    assert Graph(recording, parents=True).missing(inside, recording.of_type("eks:index:Cluster")) == []


def test_the_graph_notices_a_missing_edge(recorded: Callable[[str], Recording]) -> None:
    recording = recorded("dev")
    graph = Graph(recording)
    network, pool = recording.of_type("aws:ec2/vpc:Vpc"), recording.of_type(NODE_POOL)[:1]
    assert graph.missing(network, pool) == [f"network before {pool[0].name}"]
