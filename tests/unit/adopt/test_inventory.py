"""What a cluster has for GPUs is read off its objects: versions, gates, pools, plugins, engines, pods."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from adopt.export import read_export
from adopt.inventory import Inventory, inventory
from adopt.pool_findings import shared_words
from tests.unit.adopt.cluster import (
    Object,
    by_hand,
    config_map,
    karpenter,
    node,
    node_class,
    node_pool,
    plugin,
    pod,
    standing_node,
    time_slicing,
    write,
)


def read(folder: Path, *objects: Object) -> Inventory:
    return inventory(read_export(write(folder, list(objects))))


def test_names_versions_and_what_stays_are_seen(tmp_path: Path) -> None:
    there = read(tmp_path, *by_hand())
    assert (there.cluster, there.region, there.kubernetes) == ("prod", "us-east-1", "1.35")
    assert there.karpenter is not None
    assert there.karpenter.version == "1.9.0"
    assert there.karpenter.gates == frozenset({"nodeOverlay"})
    assert there.standing.labels == {"eks.amazonaws.com/nodegroup": "system"}
    assert [(n.kind.name, n.bought, n.pool) for n in there.nodes] == [("g6.xlarge", "on-demand", "gpus")] * 3


@pytest.mark.parametrize(
    ("gates", "expected"),
    [
        ("NodeOverlay=true", {"nodeOverlay"}),
        ("NodeOverlay=false,CapacityBuffer=true", {"capacityBuffer"}),
        ("StaticCapacity=true,NodeRepair=true", {"staticCapacity"}),
        ("NodeOverlay = True , X=1", {"nodeOverlay"}),
        ("", set()),
    ],
)
def test_gates_are_those_of_the_controller(tmp_path: Path, gates: str, expected: set[str]) -> None:
    found = read(tmp_path, karpenter(gates=gates)).karpenter
    assert found is not None
    assert found.gates == frozenset(expected)


def test_gates_as_an_option(tmp_path: Path) -> None:
    deployment = karpenter()
    container = deployment["spec"]["template"]["spec"]["containers"][0]
    container["env"], container["args"] = [], ["--feature-gates=NodeOverlay=true"]
    found = read(tmp_path, deployment).karpenter
    assert found is not None
    assert found.gates == frozenset({"nodeOverlay"})


def test_an_overlay_that_was_judged_tells_of_the_gate(tmp_path: Path) -> None:
    overlay: Object = {
        "apiVersion": "karpenter.sh/v1alpha1",
        "kind": "NodeOverlay",
        "metadata": {"name": "o"},
        "spec": {},
    }
    unknown = read(tmp_path, node_pool(), overlay).karpenter
    judged = read(tmp_path, node_pool(), {**overlay, "status": {"conditions": [{"type": "Ready"}]}}).karpenter
    assert unknown is not None
    assert unknown.gates is None
    assert judged is not None
    assert judged.gates == frozenset({"nodeOverlay"})


def test_an_old_api_and_auto_mode_are_no_karpenter_of_today(tmp_path: Path) -> None:
    beta = {**node_pool(), "apiVersion": "karpenter.sh/v1beta1"}
    found = read(tmp_path, beta).karpenter
    assert found is not None
    assert found.old_api == "karpenter.sh/v1beta1"
    pool = node_pool()
    spec = pool["spec"]["template"]["spec"]
    spec["nodeClassRef"] = {"group": "eks.amazonaws.com", "kind": "NodeClass", "name": "default"}
    spec["requirements"] = [{"key": "eks.amazonaws.com/instance-family", "operator": "In", "values": ["g6"]}]
    auto = read(tmp_path, pool)
    assert auto.karpenter is None
    assert auto.auto_mode
    assert [(p.families, p.auto_mode) for p in auto.pools] == [(("g6",), True)]


def test_a_pool_that_may_buy_anything_is_told_apart(tmp_path: Path) -> None:
    anything, cpus = node_pool("anything"), node_pool("cpus", ("m7i",))
    anything["spec"]["template"]["spec"]["requirements"] = []
    cpus["spec"]["template"]["spec"]["requirements"].pop(1)
    there = read(tmp_path, anything, cpus, node_pool())
    assert [(pool.name, pool.open) for pool in there.pools] == [("anything", True), ("gpus", False)]
    assert there.taken == {"anything", "cpus", "gpus"}


# --- How GPUs are shared ----------------------------------------------------------------------------------------------


def sharing(there: Inventory) -> str:
    (pool,) = there.pools
    return shared_words(pool)


def test_a_plugin_without_configuration_gives_whole_gpus(tmp_path: Path) -> None:
    assert sharing(read(tmp_path, node_pool(), plugin())) == "whole GPUs"
    assert sharing(read(tmp_path, node_pool())) == "nothing tells how its GPUs are shared"


def test_the_default_and_the_nodes_own_configuration(tmp_path: Path) -> None:
    configs = config_map("configs", default=time_slicing(4), many=time_slicing(8))
    there = read(tmp_path, node_pool(), plugin("configs", "default"), configs)
    assert sharing(there) == "time-slicing, 4 replicas by device-plugin configuration default"
    there = read(tmp_path, node_pool(config="many"), plugin("configs", "default"), configs)
    assert sharing(there) == "time-slicing, 8 replicas by device-plugin configuration many"


@pytest.mark.parametrize("words", [["--config-file=/etc/nvidia/mine.yaml"], ["--config-file", "/etc/nvidia/mine.yaml"]])
def test_a_configuration_that_is_mounted_by_hand(tmp_path: Path, words: list[str]) -> None:
    by_file = plugin()
    spec = by_file["spec"]["template"]["spec"]
    spec["containers"][0]["args"] = words
    spec["volumes"] = [{"name": "config", "configMap": {"name": "configs"}}]
    there = read(tmp_path, node_pool(), by_file, config_map("configs", **{"mine.yaml": time_slicing(6)}))
    assert sharing(there) == "time-slicing, 6 replicas by device-plugin configuration mine.yaml"


def test_an_operator_without_configurations_gives_whole_gpus(tmp_path: Path) -> None:
    policy = {
        "apiVersion": "nvidia.com/v1",
        "kind": "ClusterPolicy",
        "metadata": {"name": "cluster-policy"},
        "spec": {},
    }
    assert sharing(read(tmp_path, node_pool(), policy)) == "whole GPUs"
    cut = node_pool()
    cut["spec"]["template"]["metadata"]["labels"]["nvidia.com/mig.config"] = "all-1g.10gb"
    off = {**policy, "spec": {"devicePlugin": {"enabled": False}}}
    for number, objects in enumerate(([cut, plugin()], [node_pool(), off])):
        folder = tmp_path / str(number)
        folder.mkdir()
        assert read(folder, *objects).pools[0].sharing is None


def test_the_operators_configuration(tmp_path: Path) -> None:
    policy: Object = {
        "apiVersion": "nvidia.com/v1",
        "kind": "ClusterPolicy",
        "metadata": {"name": "cluster-policy"},
        "spec": {"devicePlugin": {"config": {"name": "sliced", "default": "any"}}, "mig": {"strategy": "single"}},
    }
    owned = plugin()
    owned["metadata"] |= {"ownerReferences": [{"kind": "ClusterPolicy"}]}
    there = read(tmp_path, node_pool(), policy, owned, config_map("sliced", any=time_slicing(5)))
    assert [(p.kind, p.config_map, p.default) for p in there.plugins] == [("GPU Operator", "sliced", "any")]
    assert sharing(there) == "time-slicing, 5 replicas by device-plugin configuration any"


@pytest.mark.parametrize(
    ("spec", "reaches"),
    [
        ({}, True),
        ({"nodeSelector": {"nvidia.com/gpu.present": "true"}}, True),
        ({"nodeSelector": {"karpenter.sh/nodepool": "gpus"}}, False),
        ({"nodeSelector": {"node-type": "gpu"}}, False),
        ({"nodeSelector": {"k8s.amazonaws.com/accelerator": "nvidia"}}, False),
        ({"nodeSelector": {"feature.node.kubernetes.io/pci-10de.present": "true"}}, True),
        ({"affinity": ("node-type", "In")}, False),
        ({"affinity": ("node-type", "NotIn")}, True),
        ({"affinity": ("gpu-slices/pool", "DoesNotExist")}, False),
        ({"affinity": ("karpenter.sh/nodepool", "In")}, False),
        ({"affinity": ("nvidia.com/gpu.present", "Exists")}, True),
        ({"affinity": ("karpenter.sh/nodepool", "Exists")}, True),
        ({"affinity": ("karpenter.sh/nodepool", "DoesNotExist")}, False),
        ({"affinity": ("eks.amazonaws.com/nodegroup", "Exists")}, False),
        ({"affinity": ("gpu-slices/sharing", "DoesNotExist")}, False),
        ({"nodeSelector": {"notkarpenter.sh/of-theirs": "yes"}}, False),
        ({"terms": []}, True),
        ({"terms": [{}]}, False),
        ({"terms": [{"matchExpressions": []}]}, False),
        ({"terms": [{}, {"matchExpressions": [{"key": "nvidia.com/gpu.present", "operator": "Exists"}]}]}, True),
    ],
)
def test_whether_a_plugin_comes_to_new_nodes(tmp_path: Path, spec: dict[str, Any], reaches: bool) -> None:
    if "affinity" in spec:
        key, operator = spec["affinity"]
        spec = {"terms": [{"matchExpressions": [{"key": key, "operator": operator, "values": ["gpus"]}]}]}
    if "terms" in spec:
        terms = spec["terms"]
        required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}
        spec = {"affinity": {"nodeAffinity": required}}
    (found,) = read(tmp_path, node_pool(), plugin(**spec)).plugins
    assert found.reaches is reaches


def test_the_dra_driver_is_found_by_its_pods_or_its_class(tmp_path: Path) -> None:
    driver = plugin()
    driver["metadata"]["name"] = "nvidia-dra-driver-gpu-kubelet-plugin"
    driver["spec"]["template"]["spec"]["containers"][0]["image"] = "nvcr.io/nvidia/k8s-dra-driver-gpu:v25.8.0"
    device_class = {"apiVersion": "resource.k8s.io/v1", "kind": "DeviceClass", "metadata": {"name": "gpu.nvidia.com"}}
    for objects in ([driver], [device_class], [driver, device_class]):
        assert [each.kind for each in read(tmp_path, *objects).plugins] == ["DRA driver"]


def test_policy_engines_and_knative(tmp_path: Path) -> None:
    def definition(group: str) -> Object:
        spec = {"group": group}
        version = "apiextensions.k8s.io/v1"
        return {"apiVersion": version, "kind": "CustomResourceDefinition", "metadata": {"name": group}, "spec": spec}

    hook = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": "gatekeeper-validating-webhook-configuration"},
    }
    there = read(tmp_path, definition("kyverno.io"), definition("serving.knative.dev"), hook, node_pool())
    assert there.engines == ("Kyverno", "Gatekeeper")
    assert there.knative
    bare = read(tmp_path, node_pool())
    assert not bare.knative
    assert bare.engines == ()


def deployment(image: str, namespace: str = "x") -> Object:
    """A Deployment of theirs."""
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "one", "namespace": namespace},
        "spec": {"template": {"spec": {"containers": [{"name": "c", "image": image}]}}},
    }


@pytest.mark.parametrize(
    ("image", "engines"),
    [
        ("ghcr.io/kyverno/kyverno:v1.14.1", ("Kyverno",)),
        ("123456789012.dkr.ecr.us-east-1.amazonaws.com/kyverno@sha256:0", ("Kyverno",)),
        ("openpolicyagent/gatekeeper:v3.19.0", ("Gatekeeper",)),
        ("ghcr.io/kubewarden/policy-server:v1.30.0", ("Kubewarden",)),
        ("ghcr.io/kyverno/policy-reporter:3.1", ()),
        ("quay.io/gogatekeeper/gatekeeper:3.2", ()),
    ],
)
def test_engines_are_known_by_what_runs_too(tmp_path: Path, image: str, engines: tuple[str, ...]) -> None:
    assert read(tmp_path, deployment(image)).engines == engines


def test_knative_is_known_by_what_runs_and_by_its_groups(tmp_path: Path) -> None:
    for namespace in ("knative-serving", "knative-operator"):
        assert read(tmp_path, deployment("mirror/activator:1", namespace)).knative
    assert not read(tmp_path, deployment("knative-gpu-dashboard", "ml")).knative
    groups = {"kind": "APIGroupList", "apiVersion": "v1", "groups": [{"name": "operator.knative.dev"}]}
    (tmp_path / "groups.json").write_text(json.dumps(groups))
    assert read(tmp_path, node_pool()).knative


# --- Pods -------------------------------------------------------------------------------------------------------------


def test_pods_of_one_owner_count_together_and_finished_ones_not(tmp_path: Path) -> None:
    done = pod("job-1", "gpu-0")
    done["status"]["phase"] = "Succeeded"
    daemon = pod("dcgm", "gpu-0")
    daemon["metadata"]["ownerReferences"] = [{"kind": "DaemonSet", "name": "dcgm"}]
    pods = [pod("llm-5f-a", "gpu-0", owner="llm-5f"), pod("llm-5f-b", owner="llm-5f"), pod("llm-5f-c", owner="llm-5f")]
    there = read(tmp_path, node("gpu-0"), *pods, done, daemon)
    assert [(w.name, w.state, w.node, w.count) for w in there.work] == [
        ("llm", "runs", "gpu-0", 1),
        ("llm", "waits", "", 2),
    ]


def test_memory_that_a_pod_says_and_devices_that_it_claims(tmp_path: Path) -> None:
    says = pod("says", "gpu-0", metadata={"annotations": {"gpu-slices/model-memory-mib": "6000"}})
    claims = pod("claims", "gpu-0", resourceClaims=[{"name": "gpu", "resourceClaimTemplateName": "one"}])
    del claims["spec"]["containers"][0]["resources"]["limits"]
    there = read(tmp_path, node("gpu-0"), says, claims)
    assert [(w.name, w.mib, w.claims) for w in there.work] == [("says", 6000, False), ("claims", None, True)]


def device_class(name: str, *expressions: str) -> Object:
    spec = {"selectors": [{"cel": {"expression": each}} for each in expressions]}
    return {"apiVersion": "resource.k8s.io/v1", "kind": "DeviceClass", "metadata": {"name": name}, "spec": spec}


EFA = 'device.driver == "efa.networking.k8s.aws"'
NVIDIA = "device.driver == 'gpu.nvidia.com'"
PART = "device.attributes['gpu.nvidia.com'].type == "


@pytest.mark.parametrize("kind", ["ResourceClaimTemplate", "ResourceClaim"])
@pytest.mark.parametrize(
    ("classes", "named", "holds"),
    [
        ([device_class("efa", EFA)], ["efa"], False),
        ([device_class("efa", f"{EFA} && device.attributes['resource.kubernetes.io'].numa == 0")], ["efa"], False),
        ([device_class("efa", "device.attributes['dra.net'].rdma", EFA)], ["efa"], False),
        ([device_class("efa", EFA)], ["efa", "gpu.nvidia.com"], True),
        ([device_class("large", NVIDIA)], ["large"], True),
        # Parts of a GPU, as NVIDIA's chart has them, and a GPU of somebody else's driver.
        ([device_class("mig.nvidia.com", f"{NVIDIA} && {PART}'mig'")], ["mig.nvidia.com"], True),
        ([device_class("vfio.gpu.nvidia.com", f"{NVIDIA} && {PART}'vfio'")], ["vfio.gpu.nvidia.com"], True),
        ([device_class("hami", "device.driver == 'hami-core-gpu.project-hami.io'")], ["hami"], True),
        # What GPUs meet too.
        ([device_class("near", "device.attributes['resource.kubernetes.io'].numa == 0")], ["near"], True),
        ([device_class("either", f"{EFA} || {NVIDIA}")], ["either"], True),
        ([device_class("not", f"!({EFA})")], ["not"], True),
        ([device_class("all")], ["all"], True),
        # Of what nobody showed nobody knows.
        ([], ["efa"], True),
    ],
)
def test_a_claim_of_other_devices_holds_no_gpu(
    tmp_path: Path, kind: str, classes: list[Object], named: list[str], holds: bool
) -> None:
    asked = [{"name": f"r{index}", "exactly": {"deviceClassName": name}} for index, name in enumerate(named)]
    spec: Object = {"devices": {"requests": asked}}
    claim = {
        "apiVersion": "resource.k8s.io/v1",
        "kind": kind,
        "metadata": {"name": "net", "namespace": "models"},
        "spec": {"spec": spec} if kind.endswith("Template") else spec,
    }
    key = "resourceClaimTemplateName" if kind.endswith("Template") else "resourceClaimName"
    own = pod("net", "gpu-0", gpus=0, resourceClaims=[{"name": "net", key: "net"}])
    assert bool(read(tmp_path, node("gpu-0"), *classes, claim, own).work) is holds


@pytest.mark.parametrize(
    ("before", "beside", "sidecar", "asks"), [(1, 0, 0, 1), (1, 1, 0, 1), (2, 1, 0, 2), (0, 1, 1, 2)]
)
def test_gpus_of_containers_that_run_before_are_the_pods_too(
    tmp_path: Path, before: int, beside: int, sidecar: int, asks: int
) -> None:
    first = {"name": "first", "resources": {"limits": {"nvidia.com/gpu": str(before)}}}
    always = {"name": "always", "restartPolicy": "Always", "resources": {"limits": {"nvidia.com/gpu": str(sidecar)}}}
    own = pod("llm", "gpu-0", gpus=beside, initContainers=[first, always])
    (work,) = read(tmp_path, node("gpu-0"), own).work
    assert work.gpus == asks


def test_a_manifest_of_a_pod_runs_nowhere_yet(tmp_path: Path) -> None:
    manifest = {key: value for key, value in pod("llm").items() if key != "status"}
    assert [work.state for work in read(tmp_path, manifest).work] == ["declared"]


def test_without_pods_what_would_run_counts(tmp_path: Path) -> None:
    template = {"spec": pod("x")["spec"]}
    deployment: Object = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "llm"}}
    deployment["spec"] = {"replicas": 4, "template": template}
    (work,) = read(tmp_path, deployment).work
    assert (work.name, work.state, work.count) == ("llm", "declared", 4)
    assert read(tmp_path, deployment, {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web"}}).work == []


def test_a_template_says_nothing_that_is_filled_in_elsewhere(tmp_path: Path) -> None:
    klass = node_class(role="${node_role}", subnetSelectorTerms=[{"tags": {"karpenter.sh/discovery": "{{ cluster }}"}}])
    pool = node_pool(families=("${family}",))
    there = read(tmp_path, klass, pool, standing_node("n"))
    (found,) = there.node_classes
    assert (found.role, bool(found.subnets), found.filled_in) == ("", False, True)
    assert there.pools[0].filled_in
    assert there.cluster == ""
