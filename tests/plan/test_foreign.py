"""The stack's own Karpenter in a cluster that is there, and the stack's own cluster in a network that is there."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
import yaml

from components.cluster.existing import Supposed, cluster_problem
from components.network.existing import ExistingSubnetsArgs, Subnet, homes, subnets_problem
from gpu.sharing import TimeSlicing
from gpu.sharing.plugin_config import config_name
from plan import cloud
from plan.errors import InputError
from plan.figures import figures
from plan.make import stack_config
from plan.project import StackFile, find_project
from plan.record import Recording, record
from policy.analyzer import judge
from tests.plan.conftest import ROOT, as_judged, changed_stack
from tests.plan.test_destroy_order import NODE_CLASS, NODE_POOL, Graph
from twin.planning import _plan
from twin.play.device_plugin import offer

SUBNETS = ["subnet-0123456789abcdef0", "subnet-0123456789abcdef1"]
GROUPS = ["sg-0123456789abcdef0"]
CLUSTER = {"existing": "prod", "version": "1.35", "systemNodeLabels": {"role": "system"}}
#: Our Karpenter in somebody's cluster: by the add-on, and by the older ways.
KARPENTER: Mapping[str, Any] = {"cluster": CLUSTER, "network": {}}
OLD: Mapping[str, Any] = {
    "cluster": {**CLUSTER, "authenticationMode": "CONFIG_MAP"},
    "karpenter": {"identity": "irsa"},
    "network": {"existing": {"subnetIds": SUBNETS, "securityGroupIds": GROUPS}},
}
#: Our cluster in somebody's network.
NETWORK: Mapping[str, Any] = {"network": {"existing": {"vpcId": "vpc-0123456789abcdef0", "subnetIds": SUBNETS}}}
TAGGED: Mapping[str, Any] = {"network": {"existing": {"subnetTags": {"tier": "private"}}}}


def stack_file(changes: Mapping[str, Any]) -> StackFile:
    """`dev` with some keys."""
    return changed_stack(changes)


@cache
def _recorded(changes: str) -> Recording:
    return record(find_project(ROOT), stack_file(json.loads(changes)))


def recorded(changes: Mapping[str, Any]) -> Recording:
    return _recorded(json.dumps(changes))


def types_of(plan: Recording, *packages: str) -> set[str]:
    return {each.type for each in plan.resources if each.custom and each.type.startswith(packages)}


#: Somebody's device plugin, with a ConfigMap that its chart's values name.
CONFIG = config_name("shared", TimeSlicing(3))
PLUGIN: Mapping[str, Any] = {
    **KARPENTER,
    "gpuSharing": {"existing": {"configMap": "plugin-configs", "namespace": "nvidia"}},
}
EC2 = "aws:ec2/"
CLUSTER_CALL = "aws:eks/getCluster:getCluster"
SUBNET_CALL, SUBNETS_CALL = f"{EC2}getSubnet:getSubnet", f"{EC2}getSubnets:getSubnets"
PATCH = "kubernetes:core/v1:ConfigMapPatch"
WAYS = pytest.mark.parametrize(
    "changes", [KARPENTER, OLD, NETWORK, TAGGED], ids=["pod-identity", "irsa", "ids", "tags"]
)


@WAYS
def test_every_function_has_an_answer_and_the_pack_finds_nothing(changes: Mapping[str, Any]) -> None:
    plan = recorded(changes)
    assert plan.unanswered == ()
    judged = [as_judged(found, plan.preview_inputs(found)) for found in plan.resources]
    assert [verdict for verdict in judge(judged) if verdict.mandatory] == []


def test_karpenter_brings_its_rights_and_its_queue_and_no_cluster() -> None:
    made = types_of(recorded(KARPENTER), "aws:", "eks:")
    assert made == {
        "aws:budgets/budget:Budget",
        "aws:budgets/budgetAction:BudgetAction",
        "aws:cloudwatch/eventRule:EventRule",
        "aws:cloudwatch/eventTarget:EventTarget",
        "aws:eks/accessEntry:AccessEntry",
        "aws:eks/podIdentityAssociation:PodIdentityAssociation",
        "aws:iam/policy:Policy",
        "aws:iam/role:Role",
        "aws:iam/rolePolicy:RolePolicy",
        "aws:iam/rolePolicyAttachment:RolePolicyAttachment",
        "aws:sqs/queue:Queue",
        "aws:sqs/queuePolicy:QueuePolicy",
    }
    (entry,) = recorded(KARPENTER).of_type("aws:eks/accessEntry:AccessEntry")
    assert (entry.inputs["clusterName"], entry.inputs["type"]) == ("prod", "EC2_LINUX")


def controller(plan: Recording) -> Mapping[str, Any]:
    releases = {each.inputs["name"]: each.inputs for each in plan.of_type("kubernetes:helm.sh/v3:Release")}
    assert {"karpenter", "karpenter-crd"} < set(releases)
    return dict(releases["karpenter"]["values"])


def test_the_controller_runs_on_nodes_that_stay() -> None:
    values = controller(recorded(KARPENTER))
    assert values["nodeSelector"] == {"kubernetes.io/os": "linux", "role": "system"}
    assert values["settings"]["clusterName"] == "prod"
    assert "annotations" not in values["serviceAccount"]


def test_by_oidc_the_service_account_names_the_role_and_the_role_trusts_the_issuer() -> None:
    plan = recorded(OLD)
    assert plan.of_type("aws:eks/podIdentityAssociation:PodIdentityAssociation") == []
    named = controller(plan)["serviceAccount"]["annotations"]["eks.amazonaws.com/role-arn"]
    role = next(each for each in plan.of_type("aws:iam/role:Role") if each.name == "karpenter-controller")
    assert "karpenter-controller" in named
    (statement,) = json.loads(role.inputs["assumeRolePolicy"])["Statement"]
    assert statement["Action"] == ["sts:AssumeRoleWithWebIdentity"]
    issuer = statement["Principal"]["Federated"].partition("oidc-provider/")[2]
    assert issuer
    assert statement["Condition"]["StringEquals"] == {
        f"{issuer}:aud": "sts.amazonaws.com",
        f"{issuer}:sub": "system:serviceaccount:kube-system:karpenter",
    }


def test_where_only_aws_auth_lets_nodes_in_its_line_is_said() -> None:
    plan = recorded(OLD)
    assert plan.of_type("aws:eks/accessEntry:AccessEntry") == []
    assert "kubectl -n kube-system edit configmap aws-auth" in plan.outputs["nextSteps"]
    (said,) = [text for _, text in plan.messages if "aws-auth" in text]
    assert "rolearn: arn:aws:iam::ACCOUNT:role/prod-karpenter-node" in said
    assert "username: 'system:node:{{EC2PrivateDNSName}}'" in said
    assert not [text for _, text in recorded(KARPENTER).messages if "aws-auth" in text]


def test_nodes_go_where_the_file_says() -> None:
    by_id, by_tags = recorded(OLD).of_type(NODE_CLASS), recorded(KARPENTER).of_type(NODE_CLASS)
    assert by_id
    assert by_tags
    for found in by_id:
        spec = found.inputs["spec"]
        assert spec["subnetSelectorTerms"] == [{"id": each} for each in SUBNETS]
        assert spec["securityGroupSelectorTerms"] == [{"id": each} for each in GROUPS]
        assert "kmsKeyID" not in json.dumps(spec), "the account's own key of EBS"
    for found in by_tags:
        assert found.inputs["spec"]["subnetSelectorTerms"] == [{"tags": {"karpenter.sh/discovery": "prod"}}]
        assert found.inputs["spec"]["role"] == "prod-karpenter-node"


def test_nodes_end_before_the_controller_and_it_before_its_rights() -> None:
    plan = recorded(KARPENTER)
    graph = Graph(plan)
    controllers = [each for each in plan.of_type("kubernetes:helm.sh/v3:Release") if each.inputs["name"] == "karpenter"]
    assert graph.missing(plan.of_type(NODE_POOL), controllers) == []
    rights = [*plan.of_type("aws:iam/rolePolicyAttachment:RolePolicyAttachment"), *plan.of_type("aws:sqs/queue:Queue")]
    assert graph.missing(controllers, rights) == []


@pytest.mark.parametrize("changes", [NETWORK, TAGGED], ids=["ids", "tags"])
def test_a_cluster_in_somebodys_network_changes_nothing_there(changes: Mapping[str, Any]) -> None:
    plan = recorded(changes)
    kinds = types_of(plan, "aws:ec2/", "aws:vpc/")
    assert kinds == {"aws:ec2/launchTemplate:LaunchTemplate", "aws:ec2/tag:Tag"}
    (tag,) = plan.of_type("aws:ec2/tag:Tag")
    assert "clusterSecurityGroupId" in tag.inputs["resourceId"], "of the group that EKS makes, and of no subnet"


def test_its_nodes_and_control_plane_are_in_the_subnets_that_are_named() -> None:
    plan = recorded(NETWORK)
    (cluster,) = plan.of_type("eks:index:Cluster")
    assert cluster.inputs["privateSubnetIds"] == SUBNETS
    (nodes,) = plan.of_type("aws:eks/nodeGroup:NodeGroup")
    assert nodes.inputs["subnetIds"] == SUBNETS
    for found in plan.of_type(NODE_CLASS):
        assert found.inputs["spec"]["subnetSelectorTerms"] == [{"id": each} for each in SUBNETS]
    for found in recorded(TAGGED).of_type(NODE_CLASS):
        assert found.inputs["spec"]["subnetSelectorTerms"] == [{"tags": {"tier": "private"}}]


def test_the_bill_leaves_out_what_is_there_and_says_so() -> None:
    bill = figures(stack_config(stack_file(NETWORK))).bill
    names = {line.name for line in bill.lines}
    assert "EKS control plane" in names
    assert not names & {"NAT gateway", "Interface endpoints", "Images and weights", "Between zones"}
    (network,) = [line for line in bill.lines if line.name == "Network"]
    assert network.usd is not None
    assert network.usd.expected == 0
    assert "no cost of this stack" in network.detail


def test_a_plugin_that_is_there_gets_the_configurations_of_our_pools_and_nothing_else() -> None:
    plan = recorded(PLUGIN)
    (patch,) = plan.of_type(PATCH)
    assert patch.inputs["metadata"] == {"name": "plugin-configs", "namespace": "nvidia"}
    ((pool, text),) = patch.inputs["data"].items()
    assert (pool, yaml.safe_load(text)["sharing"]["timeSlicing"]["resources"][0]["replicas"]) == (CONFIG, 3)
    releases = {each.inputs["name"] for each in plan.of_type("kubernetes:helm.sh/v3:Release")}
    assert "plugin-shared" not in releases
    assert Graph(plan).missing(plan.of_type(NODE_POOL)[-1:], [patch]) == [], "nodes end before their configuration"


def labels(changes: Mapping[str, Any]) -> Mapping[str, str]:
    (pool,) = [each for each in recorded(changes).of_type(NODE_POOL) if each.inputs["metadata"]["name"] == "shared"]
    return dict(pool.inputs["spec"]["template"]["metadata"]["labels"])


def test_nodes_ask_a_plugin_that_is_there_for_their_configuration() -> None:
    found = labels(PLUGIN)
    assert (found["nvidia.com/device-plugin.config"], found["nvidia.com/gpu.present"]) == (CONFIG, "true")
    operator = {**PLUGIN, "gpuSharing": {**PLUGIN["gpuSharing"], "installer": "gpu-operator"}}
    found = labels(operator)
    assert found["nvidia.com/device-plugin.config"] == CONFIG
    assert "nvidia.com/gpu.present" not in found, "the operator's to say"
    deploy = "nvidia.com/gpu.deploy."
    off = {key.removeprefix(deploy) for key, value in found.items() if key.startswith(deploy) and value == "false"}
    assert off == {"driver", "container-toolkit", "mig-manager"}, "the image has them"


def test_the_twin_plays_the_plugin_that_is_there() -> None:
    plan = _plan(recorded(PLUGIN), (), cluster="prod", kubernetes="1.36")
    (plugin,) = plan.plugins
    assert (plugin.config_map, set(plugin.configs)) == ("plugin-configs", {CONFIG})
    offered = offer({**labels(PLUGIN), "karpenter.k8s.aws/instance-gpu-count": "1"}, None, plan.plugins)
    assert (offered.resources, offered.problem) == ({"nvidia.com/gpu": 3}, "")
    patch = next(thing for thing in plan.planned if thing.manifest and thing.manifest["kind"] == "ConfigMap")
    names = {thing.urn: thing.name for thing in plan.planned}
    assert "Namespace nvidia" in {names[urn] for urn in patch.after}


ASKED = ExistingSubnetsArgs(ids=["a", "b"], zones={"shared": ["use1-az1", "use1-az2"]})


def subnet(name: str, zone: str | None = "use1-az1", vpc: str = "vpc-1", *, public: bool = False) -> Subnet:
    return Subnet(id=name, vpc_id=vpc, zone_id=zone, public=public)


def test_subnets_that_do() -> None:
    found = [subnet("a"), subnet("b", "use1-az4"), subnet("c", "use1-az4")]
    assert subnets_problem(found, "vpc-1", ASKED) is None
    assert homes(found) == ["a", "b"], "one in each zone"
    unknown = [subnet("a", None), subnet("b", None)]
    assert subnets_problem(unknown, None, ASKED) is None
    assert homes(unknown) == ["a", "b"]


@pytest.mark.parametrize(
    ("found", "vpc", "words"),
    [
        ([], "vpc-1", "no subnet in vpc-1 carries tier=private"),
        ([subnet("a"), subnet("b", vpc="vpc-2")], None, "are in vpc-1, vpc-2, and must be in one VPC: write vpcId"),
        ([subnet("a"), subnet("b", "use1-az2", public=True)], None, "b lead to an Internet gateway"),
        ([subnet("a"), subnet("b")], None, "must lie in 2 zones or more, and are in use1-az1"),
        ([subnet("a", "use1-az5"), subnet("b", "use1-az6")], None, "no type of pool shared is offered there"),
    ],
)
def test_subnets_that_do_not(found: list[Subnet], vpc: str | None, words: str) -> None:
    args = ExistingSubnetsArgs(tags={"tier": "private"}, zones=ASKED.zones)
    problem = subnets_problem(found, vpc, args)
    assert problem is not None
    assert problem.startswith("gpu-slices:network.existing: ")
    assert words in problem


def test_a_control_plane_is_in_no_zone_that_eks_does_not_take() -> None:
    found = [subnet("a", "use1-az3"), subnet("b"), subnet("c", "use1-az2")]
    assert homes(found, ["use1-az3"]) == ["b", "c"]
    args = replace(ASKED, ids=["a", "b"], no_homes=["use1-az3"])
    said = subnets_problem(found[:2], None, args)
    assert said is not None
    assert "EKS places no control plane in use1-az3: name subnets in 2 other zones" in said


def test_subnets_that_are_not_there() -> None:
    said = subnets_problem([subnet("a")], "vpc-9", ASKED)
    assert said == "gpu-slices:network.existing: there is no b in vpc-9"
    assert subnets_problem([], None, ASKED) == "gpu-slices:network.existing: there is no a, b in the region"


def test_a_cluster_that_is_not_as_the_file_says() -> None:
    supposed = Supposed(version="1.35", authentication_mode="API")
    assert cluster_problem("prod", {"version": "1.35", "authentication_mode": "API"}, supposed) is None
    assert cluster_problem("prod", {}, supposed) is None, "what nobody told is not wrong"
    said = cluster_problem("prod", {"version": "1.34", "authentication_mode": "CONFIG_MAP"}, supposed)
    assert said == 'gpu-slices:cluster.version says "1.35", and cluster prod has "1.34": write that'
    said = cluster_problem("prod", {"version": "1.35", "authentication_mode": "CONFIG_MAP"}, supposed)
    assert said is not None
    assert 'gpu-slices:cluster.authenticationMode says "API"' in said


def answering(monkeypatch: pytest.MonkeyPatch, function: str, **more: Any) -> None:
    """AWS answers a data call with more, or otherwise, than a plan supposes."""
    usual = cloud._FUNCTIONS[function]
    monkeypatch.setitem(cloud._FUNCTIONS, function, lambda here, asked: {**usual(here, asked), **more})


@pytest.mark.parametrize(
    ("changes", "function", "answer", "words"),
    [
        (KARPENTER, CLUSTER_CALL, {"version": "1.34"}, 'cluster.version says "1.35", and cluster prod has "1.34"'),
        (
            KARPENTER,
            CLUSTER_CALL,
            {"accessConfigs": [{"authenticationMode": "CONFIG_MAP"}]},
            'cluster.authenticationMode says "API_AND_CONFIG_MAP", and cluster prod has "CONFIG_MAP"',
        ),
        (KARPENTER, SUBNETS_CALL, {"ids": []}, "carries karpenter.sh/discovery=prod"),
        (NETWORK, SUBNETS_CALL, {"ids": SUBNETS[:1]}, f"there is no {SUBNETS[1]} in vpc-0123456789abcdef0"),
        (NETWORK, SUBNET_CALL, {"availabilityZoneId": "use1-az1"}, "must lie in 2 zones or more"),
        (NETWORK, SUBNET_CALL, {"availabilityZoneId": "use1-az3"}, "must lie in 2 zones or more"),
    ],
)
def test_what_a_data_call_finds_ends_the_program_with_words(
    changes: Mapping[str, Any], function: str, answer: Mapping[str, Any], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    answering(monkeypatch, function, **answer)
    with pytest.raises(InputError) as raised:
        record(find_project(ROOT), stack_file(changes))
    assert f"gpu-slices:{'' if 'cluster.' in words else 'network.existing: '}" in str(raised.value)
    assert words in str(raised.value)


def test_a_subnet_that_leads_to_the_internet_is_found_by_its_vpcs_main_table(monkeypatch: pytest.MonkeyPatch) -> None:
    def tables(_: cloud.Cloud, asked: Mapping[str, Any]) -> dict[str, Any]:
        return {"ids": ["rtb-main"] if asked["filters"][0]["name"] == "association.main" else []}

    routes = [{"cidrBlock": "0.0.0.0/0", "gatewayId": "igw-1"}]
    monkeypatch.setitem(cloud._FUNCTIONS, f"{EC2}getRouteTables:getRouteTables", tables)
    monkeypatch.setitem(cloud._FUNCTIONS, f"{EC2}getRouteTable:getRouteTable", lambda *_: {"routes": routes})
    with pytest.raises(InputError, match="lead to an Internet gateway"):
        record(find_project(ROOT), stack_file(NETWORK))
