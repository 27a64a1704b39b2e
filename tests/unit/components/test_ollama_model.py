"""OllamaModel: one slot, the right settings, weights that nobody can change, probes that tell the truth."""

from typing import Any

import pytest

import versions
from components.serving.ollama_model import MpsClient, OllamaModel, OllamaModelArgs, ServedModel, Weights
from gpu.host_share import HostShare
from tests.unit.components.recording import Recording, record

SERVICE = "kubernetes:serving.knative.dev/v1:Service"
IMAGE = f"registry.example.com/weights@sha256:{'a' * 64}"
DIGEST = "b" * 64
BASE: dict[str, Any] = {
    "service": "mistral",
    "models": [ServedModel(name="mistral:7b")],
    "pool": "shared",
    "resource_name": "nvidia.com/gpu.shared",
    "share": HostShare(1166, 4403),
    "weights_mib": 4197,
}


def model(**arguments: Any) -> Recording[OllamaModel]:
    return record(lambda: OllamaModel("model-mistral", OllamaModelArgs(**{**BASE, **arguments})))


def service(**arguments: Any) -> Any:
    return model(**arguments).one(SERVICE).inputs


def template(**arguments: Any) -> Any:
    return service(**arguments)["spec"]["template"]


def pod(**arguments: Any) -> Any:
    return template(**arguments)["spec"]


def environment(container: Any) -> dict[str, str]:
    return {variable["name"]: variable["value"] for variable in container["env"]}


def server(**arguments: Any) -> Any:
    (container,) = pod(**arguments)["containers"]
    return container


def test_it_takes_one_slot_of_its_pool() -> None:
    limits = server()["resources"]["limits"]
    assert limits["nvidia.com/gpu.shared"] == "1"
    assert pod()["nodeSelector"] == {"gpu-slices/pool": "shared"}
    assert pod()["tolerations"] == [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}]
    assert "nvidia.com/gpu.shared" not in pod()["initContainers"][0]["resources"]["limits"]


def test_it_asks_its_node_for_no_more_than_its_share() -> None:
    """With Knative's own container, that is: slots only fill when pods fit beside each other."""
    requests = server()["resources"]["requests"]
    assert requests["cpu"] == f"{1166 - 25}m"
    assert requests["memory"] == f"{4403 - 64}Mi"
    alone = server(share=HostShare(96_000, 1_000_000))["resources"]["requests"]
    assert (alone["cpu"], alone["memory"]) == ("4", f"{4197 + 2048}Mi"), "as Knative stores it"


def test_it_sleeps_until_somebody_asks() -> None:
    annotations = template()["metadata"]["annotations"]
    assert annotations["autoscaling.knative.dev/min-scale"] == "0"
    assert annotations["autoscaling.knative.dev/max-scale"] == "2"
    assert annotations["autoscaling.knative.dev/scale-to-zero-pod-retention-period"] == "5m"
    assert service()["metadata"]["annotations"] == {"pulumi.com/waitFor": "condition=Ready"}


def test_what_always_runs_is_not_waited_for() -> None:
    """Spot may have no GPU for an hour; `pulumi up` has better things to do."""
    assert service(min_scale=1)["metadata"]["annotations"] == {"pulumi.com/skipAwait": "true"}


def test_it_is_reached_from_inside_the_cluster_only() -> None:
    recording = model()
    labels = recording.one(SERVICE).inputs["metadata"]["labels"]
    assert labels["networking.knative.dev/visibility"] == "cluster-local"
    assert recording.result.url == "http://mistral.models.svc.cluster.local"


def test_context_parallelism_and_cache_are_said_and_the_cpu_is_no_way_out() -> None:
    found = environment(server(context_length=8192, parallel=2, kv_cache_type="q8_0"))
    assert found["OLLAMA_CONTEXT_LENGTH"] == "8192"
    assert found["OLLAMA_NUM_PARALLEL"] == "2"
    assert (found["OLLAMA_KV_CACHE_TYPE"], found["OLLAMA_FLASH_ATTENTION"]) == ("q8_0", "1")
    assert (found["OLLAMA_KEEP_ALIVE"], found["OLLAMA_MAX_LOADED_MODELS"]) == ("-1", "1")
    assert (found["OLLAMA_NO_CLOUD"], found["OLLAMA_NOPRUNE"], found["LLAMA_ARG_FIT"]) == ("1", "1", "off")
    assert pod(parallel=2)["containerConcurrency"] == 2


def test_the_server_knows_what_its_slot_or_claim_promises() -> None:
    assert environment(server(promised_mib=5631))["PROMISED_MIB"] == "5631"
    assert "PROMISED_MIB" not in environment(server()), "a component of its own need not say it"


def test_probes_ask_whether_the_model_is_on_the_gpu() -> None:
    container = server()
    for probe in ("startupProbe", "readinessProbe"):
        assert container[probe]["exec"]["command"] == ["/bin/bash", "/opt/gpu-slices/model.sh", "ready"], probe
    # Loading again may take longer than the liveness probe waits.
    assert container["livenessProbe"]["exec"]["command"][-1] == "alive"
    assert container["command"][-1] == "serve"
    assert container["startupProbe"]["failureThreshold"] * container["startupProbe"]["periodSeconds"] >= 1200


def test_pods_are_restricted_and_all_of_one_user() -> None:
    security = pod()["securityContext"]
    assert (security["runAsNonRoot"], security["runAsUser"]) == (True, 10001)
    assert pod()["automountServiceAccountToken"] is False
    for container in (*pod()["initContainers"], *pod()["containers"]):
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }


def weights_mount(container: Any) -> Any:
    return [mount for mount in container["volumeMounts"] if mount["name"] == "weights"]


def test_weights_of_the_node_are_fetched_by_the_cache_and_only_read_here() -> None:
    (init,) = pod()["initContainers"]
    found = environment(init)
    assert init["command"][-1] == "fetch"
    assert (found["CACHE"], found["MODELS"]) == ("model-cache.gpu-system.svc.cluster.local", "mistral:7b")
    assert found["PULLED_BY"] == versions.OLLAMA_VERSION
    assert found["NVIDIA_VISIBLE_DEVICES"] == "void"
    for container in (init, server()):
        assert weights_mount(container) == [{"name": "weights", "mountPath": "/models", "readOnly": True}]
    (volume,) = [v for v in pod()["volumes"] if v["name"] == "weights"]
    assert volume["persistentVolumeClaim"] == {"claimName": "model-cache", "readOnly": True}


def test_weights_of_an_image_are_mounted() -> None:
    chosen = pod(weights=Weights(source="image", image=IMAGE))
    assert "initContainers" not in chosen
    (volume,) = [v for v in chosen["volumes"] if v["name"] == "weights"]
    assert volume["image"] == {"reference": IMAGE, "pullPolicy": "IfNotPresent"}
    assert weights_mount(chosen["containers"][0])[0]["readOnly"] is True


def test_baked_weights_come_with_the_image() -> None:
    chosen = pod(weights=Weights(source="baked", image=IMAGE))
    assert "initContainers" not in chosen
    assert chosen["containers"][0]["image"] == IMAGE
    assert weights_mount(chosen["containers"][0]) == []
    assert environment(chosen["containers"][0])["OLLAMA_MODELS"] == "/models"


@pytest.mark.parametrize("weights", [{"source": "image"}, {"source": "baked"}, {"image": IMAGE}])
def test_an_image_is_named_exactly_where_one_is_needed(weights: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="is needed"):
        Weights(**weights)


@pytest.mark.parametrize("source", ["node-cache", "image", "baked"])
def test_name_and_digest_are_the_same_wherever_weights_come_from(source: Any) -> None:
    weights = Weights(source=source, image=None if source == "node-cache" else IMAGE)
    found = environment(server(weights=weights, models=[ServedModel(name="mistral:7b", digest=DIGEST)]))
    assert (found["MODELS"], found["DIGESTS"]) == ("mistral:7b", DIGEST)


def test_a_shared_server_loads_all_its_models() -> None:
    models = [ServedModel(name="mistral:7b"), ServedModel(name="llama3.2:3b", digest=DIGEST)]
    found = environment(server(models=models))
    assert (found["MODELS"], found["DIGESTS"]) == ("mistral:7b llama3.2:3b", f"- {DIGEST}")
    assert found["OLLAMA_MAX_LOADED_MODELS"] == "2"
    assert template(models=models)["metadata"]["annotations"]["gpu-slices/model"] == "mistral:7b,llama3.2:3b"


def test_policies_learn_what_an_unknown_model_needs() -> None:
    assert "gpu-slices/model-memory-mib" not in template()["metadata"]["annotations"]
    assert template(memory_mib=6000)["metadata"]["annotations"]["gpu-slices/model-memory-mib"] == "6000"


def test_limits_of_its_own_on_an_mps_slot_are_the_client_s_variables() -> None:
    """Formats: docs.nvidia.com/deploy/mps, `CUDA_MPS_PINNED_DEVICE_MEM_LIMIT="0=1G,1=512MB"`."""
    found = environment(server(mps=MpsClient(memory_mib=6000, threads_percent=20)))
    assert found["CUDA_MPS_PINNED_DEVICE_MEM_LIMIT"] == "0=6000M"
    assert found["CUDA_MPS_ACTIVE_THREAD_PERCENTAGE"] == "20"
    assert not [name for name in environment(server()) if name.startswith("CUDA_MPS")]
    assert "CUDA_MPS_ACTIVE_THREAD_PERCENTAGE" not in environment(server(mps=MpsClient(memory_mib=6000)))
