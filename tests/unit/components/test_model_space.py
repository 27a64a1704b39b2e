"""ModelSpace and the cache: walls around models, one writer of weights on each node."""

from typing import Any

import pulumi
import pulumi_kubernetes as k8s

from components.serving.model_space import ModelSpace, ModelSpaceArgs, script, script_name
from tests.unit.components.recording import Recording, record

POLICY = "kubernetes:networking.k8s.io/v1:NetworkPolicy"
DAEMON_SET = "kubernetes:apps/v1:DaemonSet"


def space(*pools: str, registries: tuple[str, ...] = ()) -> Recording[ModelSpace]:
    def program() -> ModelSpace:
        system = k8s.core.v1.Namespace("system")
        arguments = ModelSpaceArgs(cached_pools=pools, registries=registries)
        return ModelSpace("models", arguments, pulumi.ResourceOptions(depends_on=[system]))

    return record(program)


def policy(recording: Recording[Any], name: str) -> Any:
    (found,) = [each for each in recording.of_type(POLICY) if each.inputs["metadata"]["name"] == name]
    return found.inputs["spec"]


def test_nothing_comes_in_or_goes_out_unless_it_is_said() -> None:
    recording = space()
    assert policy(recording, "closed") == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    (ingress,) = policy(recording, "from-knative")["ingress"]
    assert ingress["from"] == [
        {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "knative-serving"}}}
    ]
    # Never Ollama's own port: queue-proxy stands before it.
    assert 11434 not in [port["port"] for port in ingress["ports"]]
    assert len(recording.of_type(POLICY)) == 2, "without a cache nothing has any way out"
    assert recording.of_type(DAEMON_SET) == []


def test_models_reach_names_and_the_cache_and_nothing_else() -> None:
    spec = policy(space("shared"), "to-cache")
    assert spec["podSelector"] == {"matchLabels": {"gpu-slices/weights": "node-cache"}}
    assert spec["policyTypes"] == ["Egress"]
    dns, cache = spec["egress"]
    assert {port["port"] for port in dns["ports"]} == {53}
    assert cache["ports"] == [{"protocol": "TCP", "port": 11434}]
    (peer,) = cache["to"]
    assert peer["podSelector"] == {"matchLabels": {"app.kubernetes.io/name": "model-cache"}}
    assert peer["namespaceSelector"] == {"matchLabels": {"kubernetes.io/metadata.name": "gpu-system"}}


def test_the_cache_reaches_the_internet_but_no_private_network() -> None:
    spec = policy(space("shared"), "model-cache")
    _, internet = spec["egress"]
    (block,) = [peer["ipBlock"] for peer in internet["to"]]
    assert {"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16"} <= set(block["except"])
    assert internet["ports"] == [{"protocol": "TCP", "port": 443}]
    (ingress,) = spec["ingress"]
    assert ingress["from"] == [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "models"}}}]


def test_the_cache_reaches_registries_that_are_named() -> None:
    _, out = policy(space("shared", registries=("10.9.0.0/24",)), "model-cache")["egress"]
    assert [peer["ipBlock"]["cidr"] for peer in out["to"]] == ["0.0.0.0/0", "10.9.0.0/24"]
    assert out["ports"] == [{"protocol": "TCP", "port": 443}]


def test_the_cache_runs_on_the_pools_that_use_it_without_their_gpus() -> None:
    pod = space("shared", "mps").one(DAEMON_SET).inputs["spec"]["template"]["spec"]
    (term,) = pod["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    assert term["matchExpressions"] == [{"key": "gpu-slices/pool", "operator": "In", "values": ["shared", "mps"]}]
    for container in (*pod["initContainers"], *pod["containers"]):
        assert {"name": "NVIDIA_VISIBLE_DEVICES", "value": "void"} in container["env"]
        assert not any("nvidia" in key for key in container["resources"]["limits"])


def test_root_is_only_for_giving_the_folder_away() -> None:
    pod = space("shared").one(DAEMON_SET).inputs["spec"]["template"]["spec"]
    (own,), (server,) = pod["initContainers"], pod["containers"]
    assert own["command"] == ["/bin/chown", "10001:10001", "/models"]
    assert own["securityContext"]["capabilities"] == {"drop": ["ALL"], "add": ["CHOWN"]}
    assert "runAsUser" not in server["securityContext"]
    assert (pod["securityContext"]["runAsUser"], pod["securityContext"]["runAsNonRoot"]) == (10001, True)


def test_models_ask_the_cache_of_their_own_node() -> None:
    spec = space("shared").one("kubernetes:core/v1:Service").inputs["spec"]
    assert spec["internalTrafficPolicy"] == "Local"


def test_models_read_the_folder_through_a_claim_that_cannot_write() -> None:
    recording = space("shared")
    volume = recording.one("kubernetes:core/v1:PersistentVolume")
    claim = recording.one("kubernetes:core/v1:PersistentVolumeClaim")
    (host,) = [
        v["hostPath"]
        for v in recording.one(DAEMON_SET).inputs["spec"]["template"]["spec"]["volumes"]
        if v["name"] == "weights"
    ]
    assert volume.inputs["spec"]["hostPath"] == host
    assert volume.inputs["spec"]["accessModes"] == claim.inputs["spec"]["accessModes"] == ["ReadOnlyMany"]
    assert claim.inputs["spec"]["volumeName"] == volume.inputs["metadata"]["name"]
    assert volume.inputs["spec"]["claimRef"] == {key: claim.inputs["metadata"][key] for key in ("namespace", "name")}
    # No affinity: whatever node the pod is on has the folder.
    assert "nodeAffinity" not in volume.inputs["spec"]
    assert recording.outlives(volume, claim)


def test_another_script_is_another_revision() -> None:
    config = space().one("kubernetes:core/v1:ConfigMap").inputs
    assert config["metadata"]["name"] == script_name()
    assert config["immutable"] is True
    assert config["data"] == {"model.sh": script()}


def test_models_come_after_everything_that_is_theirs() -> None:
    recording = space("shared")
    names = {resource.name for resource in recording.resources}
    assert {"models-namespace", "models-closed", "models-script", "models-cache", "models-weights"} <= names
    assert all(isinstance(part, pulumi.Resource) for part in recording.result.ready)
    assert len(recording.result.ready) == 9
