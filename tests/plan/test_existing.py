"""A stack on a cluster that is there: it makes what it adds and nothing else, and finds what the stack file names."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import pytest

from plan.figures import Figures, figures
from plan.make import stack_config
from plan.project import StackFile, find_project, load_stack
from plan.record import Recording, record
from policy.analyzer import judge
from tests.plan.conftest import ROOT, as_judged, changed_stack
from tests.plan.test_destroy_order import NODE_CLASS, NODE_POOL, Graph
from twin.errors import TwinError
from twin.plan import CONTROLLER_CHART, CRD_CHART
from twin.planning import make_plan
from versions import EKS_DEFAULT_VERSION

KARPENTER = {
    "chartVersion": "1.9.0",
    "nodeRole": "KarpenterNodeRole-prod",
    "controllerRole": "KarpenterController-prod",
    "featureGates": ["nodeOverlay"],
    "subnetTags": {"tier": "private"},
    "securityGroupTags": {"role": "nodes"},
}
CLUSTER = {"existing": "prod", "version": "1.35", "systemNodeLabels": {"role": "system"}}


def stack_file(**changes: Any) -> StackFile:
    """`dev` on a cluster that is there."""
    own = {"cluster": CLUSTER, "network": {}, "karpenter": {"existing": KARPENTER}, **changes}
    return changed_stack(own)


@cache
def recorded() -> Recording:
    return record(find_project(ROOT), stack_file())


@cache
def reckoned() -> Figures:
    return figures(stack_config(stack_file()))


def test_pods_that_were_there_come_to_no_node_of_ours() -> None:
    """Those that ask for no nodes go to any without a taint."""
    pools = {
        each.inputs["metadata"]["name"]: each.inputs["spec"]["template"]["spec"]["taints"]
        for each in recorded().of_type(NODE_POOL)
    }
    apps = {"key": "intent", "value": "apps", "effect": "NoSchedule"}
    assert {name: taints[0]["key"] for name, taints in pools.items()} == {
        "shared": "nvidia.com/gpu",
        "x86": "intent",
        "arm64": "intent",
    }
    assert pools["x86"] == [apps]
    selected = [
        each.inputs["spec"]["template"]["spec"]
        for each in recorded().of_type("kubernetes:apps/v1:Deployment")
        if each.name.startswith("examples-")
    ]
    assert [pod["tolerations"] for pod in selected] == [[{**apps, "operator": "Equal"}]] * 2


def test_it_makes_nothing_of_a_cluster_a_network_or_a_karpenter() -> None:
    made = {each.type for each in recorded().resources if each.custom and each.type.startswith(("aws:", "eks:"))}
    assert made == {
        "aws:budgets/budget:Budget",
        "aws:budgets/budgetAction:BudgetAction",
        "aws:iam/policy:Policy",
        "aws:iam/role:Role",
        "aws:iam/rolePolicy:RolePolicy",
    }
    assert {each.name for each in recorded().of_type("aws:iam/role:Role")} == {"budget-executor"}
    releases = {each.inputs["name"] for each in recorded().of_type("kubernetes:helm.sh/v3:Release")}
    assert releases == {"plugin-shared", "knative-operator"}


def test_nothing_that_was_there_is_in_the_state() -> None:
    """What is read into a state (`get`) is not destroyed either, but an import would be."""
    assert recorded().of_type("aws:eks/cluster:Cluster") == []
    assert recorded().unanswered == ()


def test_nodes_have_the_role_and_the_network_that_the_file_names() -> None:
    classes = recorded().of_type(NODE_CLASS)
    assert len(classes) == 3
    for found in classes:
        spec = found.inputs["spec"]
        assert spec["role"] == "KarpenterNodeRole-prod"
        assert spec["subnetSelectorTerms"] == [{"tags": {"tier": "private"}}]
        assert spec["securityGroupSelectorTerms"] == [{"tags": {"role": "nodes"}}]
        assert spec["tags"]["gpu-slices/stack"] == "dev"


def test_knative_runs_where_the_file_says() -> None:
    (serving,) = recorded().of_type("kubernetes:operator.knative.dev/v1beta1:KnativeServing")
    workloads = serving.inputs["spec"]["workloads"]
    assert {json.dumps(each["nodeSelector"]) for each in workloads} == {'{"role": "system"}'}


def test_the_way_into_the_cluster_is_looked_up() -> None:
    user = json.loads(recorded().outputs["kubeconfig"])["users"][0]["user"]["exec"]
    assert user["command"] == "aws"
    assert user["args"][-4:] == ["--cluster-name", "prod", "--output", "json"]
    assert recorded().outputs["updateKubeconfigCommand"].endswith("--name prod --alias prod")


def test_the_brake_is_on_the_role_that_buys() -> None:
    (action,) = recorded().of_type("aws:budgets/budgetAction:BudgetAction")
    assert action.inputs["definition"]["iamActionDefinition"]["roles"] == ["KarpenterController-prod"]
    (budget,) = recorded().of_type("aws:budgets/budget:Budget")
    assert budget.inputs["name"] == "gpu-slices-dev", "others of the cluster's may have a budget of its name"


def test_the_pack_finds_nothing() -> None:
    judged = [as_judged(found, recorded().preview_inputs(found)) for found in recorded().resources]
    assert [verdict for verdict in judge(judged) if verdict.mandatory] == []


def test_node_pools_go_before_their_classes() -> None:
    graph, pools = Graph(recorded()), recorded().of_type(NODE_POOL)
    assert pools
    for pool in pools:
        name = pool.inputs["metadata"]["name"]
        classes = [each for each in recorded().of_type(NODE_CLASS) if each.inputs["metadata"]["name"] == name]
        assert len(classes) == 1
        assert graph.missing([pool], classes) == []


def test_the_floor_is_not_the_stacks() -> None:
    bill = reckoned().bill
    floor = [line for line in bill.lines if line.part == "floor"]
    assert [(line.name, line.usd.expected if line.usd else None) for line in floor] == [("Cluster prod", 0.0)]
    assert "Logs" not in {line.name for line in bill.lines}
    used = bill.of("on demand")
    assert used is not None
    assert used.expected > 0


@pytest.fixture
def project(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The repository by links, with the stack in a file of its own."""
    folder = tmp_path_factory.mktemp("project")
    for entry in ROOT.iterdir():
        if not entry.name.startswith((".", "Pulumi.")):
            (folder / entry.name).symlink_to(entry)
    (folder / "Pulumi.yaml").write_text((ROOT / "Pulumi.yaml").read_text(encoding="utf-8"), encoding="utf-8")

    def write(**changes: Any) -> Any:
        values = {key: _plain(text) for key, text in stack_file(**changes).values.items()}
        (folder / "Pulumi.here.yaml").write_text(json.dumps({"config": values}), encoding="utf-8")
        return folder

    return write


def _plain(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


def test_the_twin_plays_what_is_there(project: Any) -> None:
    plan = make_plan(project(), "here")
    assert (plan.cluster, plan.kubernetes) == ("prod", EKS_DEFAULT_VERSION)
    assert {thing.chart for thing in plan.planned[:2]} == {CRD_CHART, CONTROLLER_CHART}
    controller = plan.release(CONTROLLER_CHART)
    assert controller is not None
    assert controller.values["settings"]["clusterName"] == "prod"
    own = [thing for thing in plan.planned if thing.manifest and thing.manifest["kind"] == "NodePool"]
    assert len(own) == 3
    assert all(controller.urn in thing.after for thing in own)
    roles = [each.inputs.get("name") for each in plan.cloud if each.type == "aws:iam/role:Role"]
    assert "KarpenterNodeRole-prod" in roles
    nodes = [each for each in plan.cloud if (each.inputs.get("tags") or {}).get("tier") == "private"]
    assert nodes
    assert {each.type for each in nodes} == {"aws:ec2/subnet:Subnet"}
    tags = [each.inputs for each in plan.cloud if each.type == "aws:ec2/tag:Tag"]
    assert ("role", "nodes") in {(each["key"], each["value"]) for each in tags}


def test_the_twin_says_which_names_it_cannot_play(project: Any) -> None:
    folder = project(cluster={**CLUSTER, "existing": "Prod_1"})
    with pytest.raises(TwinError, match="Prod_1 is none"):
        make_plan(folder, "here")


def test_the_twin_plays_a_cluster_under_a_karpenter_of_the_stacks_own(project: Any) -> None:
    ids = {"subnetIds": ["subnet-0123456789abcdef0"], "securityGroupTags": {"role": "nodes"}}
    plan = make_plan(project(karpenter={}, network={"existing": ids}), "here")
    charts = [thing.chart for thing in plan.planned if thing.chart in (CRD_CHART, CONTROLLER_CHART)]
    assert sorted(charts) == sorted([CRD_CHART, CONTROLLER_CHART]), "each once: the stack's own"
    (nodes,) = [each for each in plan.cloud if each.type == "aws:eks/nodeGroup:NodeGroup"]
    assert nodes.inputs["labels"]["role"] == "system", "the controller runs on them"
    roles = [each.inputs.get("name") for each in plan.cloud if each.type == "aws:iam/role:Role"]
    assert roles.count("prod-karpenter-node") == 1
    (node_class, *_) = plan.manifests("EC2NodeClass")
    spec = node_class["spec"]
    assert spec["subnetSelectorTerms"] == [{"tags": {"karpenter.sh/discovery": "prod"}}], "ids are AWS' to give"
    assert spec["securityGroupSelectorTerms"] == [{"tags": {"role": "nodes"}}]
    tags = [each.inputs for each in plan.cloud if each.type == "aws:ec2/tag:Tag"]
    assert ("role", "nodes") in {(each["key"], each["value"]) for each in tags}


def test_the_twin_plays_a_network_in_the_place_of_one_that_is_there(project: Any) -> None:
    network = {"existing": {"subnetTags": {"tier": "private"}}}
    plan = make_plan(project(cluster={}, karpenter={}, network=network), "here")
    assert [each for each in plan.cloud if each.type == "aws:ec2/subnet:Subnet"]
    (node_class, *_) = plan.manifests("EC2NodeClass")
    assert node_class["spec"]["subnetSelectorTerms"] == [{"tags": {"karpenter.sh/discovery": "gpu-slices-here"}}]


NEW = "kubernetes-new"


def test_what_has_one_name_in_the_whole_cluster_is_made_and_never_taken_over() -> None:
    """By server-side apply Pulumi's provider takes over what is there, and `destroy` deletes it."""
    objects = [
        each
        for each in recorded().resources
        if each.type.startswith("kubernetes:") and each.type != "kubernetes:helm.sh/v3:Release"
    ]
    wide = {each.name for each in objects if "namespace" not in each.inputs["metadata"]}
    assert {each.name for each in objects if each.provider.endswith(f"::{NEW}")} == wide
    assert {"gpu-sharing-namespace", "models-namespace", "gpu-shared-pool", "gpu-shared-class"} < wide
    (provider,) = [each for each in recorded().resources if each.name == NEW]
    assert provider.inputs["enableServerSideApply"] in (False, "false")


def test_in_a_cluster_of_its_own_nobody_has_names() -> None:
    assert NEW not in {each.name for each in make_plan_of_dev().resources}


@cache
def make_plan_of_dev() -> Recording:
    return record(find_project(ROOT), load_stack(find_project(ROOT), "dev"))
