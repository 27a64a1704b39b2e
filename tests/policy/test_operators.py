"""Pods of other people's operators: each kind of the table, in the words of its own API, is read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import pytest

from policy.analyzer import Recorded
from policy.framework import matches
from policy.inventory import Item, unfold
from policy.inventory.operators import KINDS, kind_of
from policy.pods import POD_TYPES
from policy.rules import (
    contents_can_be_seen,
    devices_by_slot,
    gpu_batch_gives_way,
    gpu_critical_off_spot,
    gpu_spot_jobs_can_end,
    k8s_pod_security,
    one_slot_per_pod,
)
from tests.policy.platform import GPU, pool
from tests.policy.support import UNKNOWN, judged, recorded


@dataclass(frozen=True)
class Carrier:
    """A kind, and its `spec` around one container and what is said of its pod.

    whole: whether nothing else adds to the pod. ends: whether its pods end. lent: whether others make pods of it.
    """

    type: str
    spec: Callable[[dict[str, Any], dict[str, Any]], Any]
    whole: bool = True
    ends: bool = False
    lent: bool = False

    def around(
        self, container: Mapping[str, Any], *, metadata: Mapping[str, Any] | None = None, **pod: Any
    ) -> Recorded:
        """The object, as a program would register it."""
        version, _, kind = self.type.removeprefix("kubernetes:").rpartition(":")
        about = {"name": "it", "namespace": "ml", **(metadata or {})}
        spec = self.spec(dict(container), dict(pod))
        return recorded(self.type, {"apiVersion": version, "kind": kind, "metadata": about, "spec": spec})


def _pod(container: dict[str, Any], pod: dict[str, Any]) -> dict[str, Any]:
    return {"containers": [container], **pod}


def _template(*path: str | int) -> Callable[[dict[str, Any], dict[str, Any]], Any]:
    """A pod template at a path; a number is a list of that one element."""

    def spec(container: dict[str, Any], pod: dict[str, Any]) -> Any:
        found: Any = {"spec": _pod(container, pod)}
        for key in reversed(path):
            found = [found] if isinstance(key, int) else {key: found}
        return found

    return spec


def _job(type_: str, *path: str | int) -> Carrier:
    return Carrier(f"kubernetes:{type_}", _template(*path), ends=True)


def _ray(*path: str | int) -> tuple[str | int, ...]:
    return (*path, "workerGroupSpecs", 0, "template")


def _step(*path: str) -> Callable[[dict[str, Any], dict[str, Any]], Any]:
    def spec(container: dict[str, Any], pod: dict[str, Any]) -> Any:
        found: Any = {"templates": [{"name": "main", "container": container, **pod}]}
        for key in reversed(path):
            found = {key: found}
        return found

    return spec


def _under(*path: str) -> Callable[[dict[str, Any], dict[str, Any]], Any]:
    """The container's and the pod's settings in one map, as Spark has them."""

    def spec(container: dict[str, Any], pod: dict[str, Any]) -> Any:
        found: Any = {**container, **pod}
        for key in reversed(path):
            found = {key: found}
        return found

    return spec


def _trainer(container: dict[str, Any], _pod: dict[str, Any]) -> Any:
    resources = {"resourcesPerNode": container.pop("resources")} if "resources" in container else {}
    return {"runtimeRef": {"name": "torch"}, "trainer": {**container, **resources}}


_REPLICAS: Final = {
    "PyTorchJob": "pytorchReplicaSpecs",
    "TFJob": "tfReplicaSpecs",
    "MPIJob": "mpiReplicaSpecs",
    "XGBoostJob": "xgbReplicaSpecs",
    "PaddleJob": "paddleReplicaSpecs",
    "JAXJob": "jaxReplicaSpecs",
}
_JOBSET: Final = ("replicatedJobs", 0, "template", "spec", "template")
_PATCHES: Final = ("runtimePatches", 0, "trainingRuntimeSpec", "template", "spec", *_JOBSET)

CARRIERS: Final[Mapping[str, Carrier]] = {
    **{kind: _job(f"kubeflow.org/v1:{kind}", key, "Worker", "template") for kind, key in _REPLICAS.items()},
    "TrainJob": Carrier("kubernetes:trainer.kubeflow.org/v1alpha1:TrainJob", _trainer, whole=False, ends=True),
    "TrainJob, patched": Carrier(
        "kubernetes:trainer.kubeflow.org/v1alpha1:TrainJob", _template(*_PATCHES), whole=False, ends=True
    ),
    "OptimizationJob": Carrier(
        "kubernetes:trainer.kubeflow.org/v1alpha1:OptimizationJob",
        lambda container, pod: {"trainJobTemplate": {"spec": _trainer(container, pod)}},
        whole=False,
        ends=True,
    ),
    "TrainingRuntime": replace(
        _job("trainer.kubeflow.org/v1alpha1:TrainingRuntime", "template", "spec", *_JOBSET), lent=True
    ),
    "ClusterTrainingRuntime": replace(
        _job("trainer.kubeflow.org/v1alpha1:ClusterTrainingRuntime", "template", "spec", *_JOBSET), lent=True
    ),
    "RayCluster": Carrier("kubernetes:ray.io/v1:RayCluster", _template(*_ray())),
    "RayCluster's head": Carrier("kubernetes:ray.io/v1:RayCluster", _template("headGroupSpec", "template")),
    "RayService": Carrier("kubernetes:ray.io/v1:RayService", _template(*_ray("rayClusterConfig"))),
    "RayJob": _job("ray.io/v1:RayJob", *_ray("rayClusterSpec")),
    "RayJob's submitter": _job("ray.io/v1:RayJob", "submitterPodTemplate"),
    "RayCronJob": _job("ray.io/v1:RayCronJob", *_ray("jobTemplate", "rayClusterSpec")),
    "Volcano's Job": _job("batch.volcano.sh/v1alpha1:Job", "tasks", 0, "template"),
    "Volcano's CronJob": _job("batch.volcano.sh/v1alpha1:CronJob", "jobTemplate", "spec", "tasks", 0, "template"),
    "Volcano's JobTemplate": _job("flow.volcano.sh/v1alpha1:JobTemplate", "tasks", 0, "template"),
    "HyperJob": _job(
        "training.volcano.sh/v1alpha1:HyperJob", "replicatedJobs", 0, "templateSpec", "tasks", 0, "template"
    ),
    "JobSet": _job("jobset.x-k8s.io/v1alpha2:JobSet", *_JOBSET),
    "LeaderWorkerSet": Carrier(
        "kubernetes:leaderworkerset.x-k8s.io/v1:LeaderWorkerSet", _template("leaderWorkerTemplate", "workerTemplate")
    ),
    "Workflow": Carrier("kubernetes:argoproj.io/v1alpha1:Workflow", _step(), ends=True),
    "Workflow's container set": Carrier(
        "kubernetes:argoproj.io/v1alpha1:Workflow",
        lambda container, pod: {"templates": [{"name": "a", "containerSet": {"containers": [container]}, **pod}]},
        ends=True,
    ),
    "Workflow's inline step": Carrier(
        "kubernetes:argoproj.io/v1alpha1:Workflow",
        lambda container, pod: {
            "templates": [{"name": "a", "steps": [[{"name": "b", "inline": {"script": container, **pod}}]]}]
        },
        ends=True,
    ),
    "Workflow's inline task": Carrier(
        "kubernetes:argoproj.io/v1alpha1:Workflow",
        lambda container, pod: {
            "templates": [{"name": "a", "dag": {"tasks": [{"name": "b", "inline": {"container": container}}]}}],
            **pod,
        },
        ends=True,
    ),
    "Workflow's defaults": Carrier(
        "kubernetes:argoproj.io/v1alpha1:Workflow",
        lambda container, pod: {
            "templates": [{"name": "a", "container": container}],
            "templateDefaults": {"timeout": "1h", **pod},
        },
        ends=True,
    ),
    "WorkflowTemplate": Carrier("kubernetes:argoproj.io/v1alpha1:WorkflowTemplate", _step(), ends=True),
    "ClusterWorkflowTemplate": Carrier("kubernetes:argoproj.io/v1alpha1:ClusterWorkflowTemplate", _step(), ends=True),
    "CronWorkflow": Carrier("kubernetes:argoproj.io/v1alpha1:CronWorkflow", _step("workflowSpec"), ends=True),
    "Rollout": Carrier("kubernetes:argoproj.io/v1alpha1:Rollout", _template("template")),
    "ScaledJob": _job("keda.sh/v1alpha1:ScaledJob", "jobTargetRef", "template"),
    "SparkApplication": Carrier(
        "kubernetes:sparkoperator.k8s.io/v1beta2:SparkApplication", _under("executor"), ends=True
    ),
    "SparkApplication's driver": Carrier(
        "kubernetes:sparkoperator.k8s.io/v1beta2:SparkApplication", _under("driver"), ends=True
    ),
    "SparkApplication's template": _job("sparkoperator.k8s.io/v1beta2:SparkApplication", "executor", "template"),
    "ScheduledSparkApplication": Carrier(
        "kubernetes:sparkoperator.k8s.io/v1beta2:ScheduledSparkApplication", _under("template", "executor"), ends=True
    ),
    "InferenceService": Carrier(
        "kubernetes:serving.kserve.io/v1beta1:InferenceService",
        lambda container, pod: {"predictor": _pod(container, pod)},
    ),
    "InferenceService's model": Carrier(
        "kubernetes:serving.kserve.io/v1beta1:InferenceService",
        lambda container, pod: {"predictor": {"model": {"modelFormat": {"name": "vllm"}, **container}, **pod}},
        whole=False,
    ),
    "InferenceService's workers": Carrier(
        "kubernetes:serving.kserve.io/v1beta1:InferenceService",
        lambda container, pod: {"predictor": {"workerSpec": _pod(container, pod)}},
    ),
    "InferenceService's transformer": Carrier(
        "kubernetes:serving.kserve.io/v1beta1:InferenceService",
        lambda container, pod: {"transformer": _pod(container, pod)},
    ),
    "ServingRuntime": Carrier("kubernetes:serving.kserve.io/v1alpha1:ServingRuntime", _pod, lent=True),
    "ClusterServingRuntime": Carrier("kubernetes:serving.kserve.io/v1alpha1:ClusterServingRuntime", _pod, lent=True),
    "LLMInferenceService": Carrier(
        "kubernetes:serving.kserve.io/v1alpha2:LLMInferenceService",
        lambda container, pod: {"model": {"uri": "hf://a/b"}, "template": _pod(container, pod)},
    ),
    "LLMInferenceService's prefill": Carrier(
        "kubernetes:serving.kserve.io/v1alpha2:LLMInferenceService",
        lambda container, pod: {"prefill": {"worker": _pod(container, pod)}},
    ),
    "LLMInferenceServiceConfig": Carrier(
        "kubernetes:serving.kserve.io/v1alpha2:LLMInferenceServiceConfig",
        lambda container, pod: {"worker": _pod(container, pod)},
        lent=True,
    ),
}
EVERY: Final = pytest.mark.parametrize("name", CARRIERS)
WHOLE: Final = pytest.mark.parametrize("name", [name for name, carrier in CARRIERS.items() if carrier.whole])

#: Two slots of a container, as its operator writes them.
TWO: Final = {"name": "main", "image": "registry.example/work:1", "resources": {"limits": {GPU: "2"}}}
TOLERATES: Final[dict[str, Any]] = {"tolerations": [{"key": GPU, "operator": "Exists"}]}
#: Spark writes resources of its own over a template's, and a TrainJob's patches have none.
ASKING: Final = pytest.mark.parametrize(
    "name", [name for name in CARRIERS if name not in {"SparkApplication's template", "TrainJob, patched"}]
)


def _two(name: str) -> dict[str, Any]:
    """More than one slot, by a name that only slots have."""
    if name.endswith(("SparkApplication", "driver")):
        return {"image": "registry.example/work:1", "gpu": {"name": "nvidia.com/gpu.shared", "quantity": 2}}
    return {"name": "main", "image": "registry.example/work:1", "resources": {"limits": {"nvidia.com/gpu.shared": "2"}}}


def test_every_kind_of_the_table_is_tried() -> None:
    tried = {carrier.type for carrier in CARRIERS.values()}
    kinds = [kind for name in tried if (kind := kind_of(name))]
    assert [name for name, kind in KINDS.items() if kind not in kinds] == []


@ASKING
def test_more_than_one_slot_is_found(name: str) -> None:
    (verdict,) = judged(one_slot_per_pod.RULE, pool(), CARRIERS[name].around(_two(name), **TOLERATES))
    assert "asks for 2 nvidia.com/gpu.shared" in verdict.message


@ASKING
def test_a_container_without_an_image_is_read_too(name: str) -> None:
    without = {key: value for key, value in _two(name).items() if key != "image"}
    assert len(judged(one_slot_per_pod.RULE, pool(), CARRIERS[name].around(without))) == 1


@EVERY
def test_what_is_filled_in_later_is_not_known(name: str) -> None:
    placeholder = {"name": "main", "env": [{"name": "NVIDIA_VISIBLE_DEVICES", "value": "{{ .Values.gpus }}"}]}
    for value in (placeholder, {**placeholder, "env": [{"name": "NVIDIA_VISIBLE_DEVICES", "value": UNKNOWN}]}):
        assert len(judged(devices_by_slot.RULE, CARRIERS[name].around(value))) == 1


@WHOLE
def test_a_privileged_container_is_found_once(name: str) -> None:
    privileged = {"name": "main", "image": "a", "securityContext": {"privileged": True}}
    found = judged(k8s_pod_security.RULE, CARRIERS[name].around(privileged))
    assert len([one for one in found if "privileged" in one.message]) == 1


@ASKING
def test_labels_of_the_object_say_how_important_it_is(name: str) -> None:
    marked = {"labels": {"gpu-slices/importance": "critical"}}
    object_ = CARRIERS[name].around(_two(name), metadata=marked, **TOLERATES)
    assert len(judged(gpu_critical_off_spot.RULE, pool(), object_)) == 1


@EVERY
def test_pods_are_of_the_kind_that_they_are_like(name: str) -> None:
    carrier = CARRIERS[name]
    found = unfold(carrier.type, carrier.around(_two(name)).inputs)
    inside = {one.type.removesuffix("Patch") for one in found if isinstance(one, Item) and one.place}
    kind = "core/v1:PodTemplate" if carrier.lent else "batch/v1:Job" if carrier.ends else "apps/v1:ReplicaSet"
    as_it_is = matches(POD_TYPES, carrier.type)
    assert inside == (set() if as_it_is else {f"kubernetes:{kind}"})


KEPT: Final = {"annotations": {"karpenter.sh/do-not-disrupt": "true"}}


@pytest.mark.parametrize(
    "resource",
    [
        recorded(
            "kubernetes:kubeflow.org/v1:PyTorchJob",
            {
                "apiVersion": "kubeflow.org/v1",
                "kind": "PyTorchJob",
                "metadata": {"name": "it", "labels": {"gpu-slices/importance": "batch"}},
                "spec": {
                    "pytorchReplicaSpecs": {
                        "Worker": {"template": {"metadata": KEPT, "spec": {"containers": [TWO], **TOLERATES}}}
                    }
                },
            },
        ),
        recorded(
            "kubernetes:argoproj.io/v1alpha1:Workflow",
            {
                "apiVersion": "argoproj.io/v1alpha1",
                "kind": "Workflow",
                "metadata": {"name": "it", "labels": {"gpu-slices/importance": "batch"}},
                "spec": {"podMetadata": KEPT, **TOLERATES, "templates": [{"name": "a", "container": TWO}]},
            },
        ),
        recorded(
            "kubernetes:sparkoperator.k8s.io/v1beta2:SparkApplication",
            {
                "apiVersion": "sparkoperator.k8s.io/v1beta2",
                "kind": "SparkApplication",
                "metadata": {"name": "it", "labels": {"gpu-slices/importance": "batch"}},
                "spec": {
                    "sparkConf": {
                        "spark.executor.resource.gpu.amount": "1",
                        "spark.executor.resource.gpu.vendor": "nvidia.com",
                    },
                    "executor": {**KEPT, **TOLERATES},
                },
            },
        ),
    ],
    ids=lambda one: one.type.rpartition(":")[2],
)
def test_work_that_ends_is_judged_as_jobs_are(resource: Recorded) -> None:
    assert len(judged(gpu_spot_jobs_can_end.RULE, pool(), resource)) == 1
    assert len(judged(gpu_batch_gives_way.RULE, pool(), resource)) == 1


def test_a_kind_that_nobody_knows_is_read_by_its_shape() -> None:
    filled_in = {"name": "server", "resources": {"limits": {"nvidia.com/gpu.shared": 2}}}
    spec = {"replicas": 1, "podTemplate": {"spec": {"containers": [filled_in], **TOLERATES}}}
    made = {"apiVersion": "models.example.com/v1", "kind": "Server", "metadata": {"name": "it"}, "spec": spec}
    (verdict,) = judged(one_slot_per_pod.RULE, pool(), recorded("kubernetes:models.example.com/v1:Server", made))
    assert verdict.message.startswith("spec.podTemplate: container server asks for 2")


def unseen(type_: str, spec: Any) -> list[str]:
    version, _, kind = type_.rpartition(":")
    made = {"apiVersion": version, "kind": kind, "metadata": {"name": "it"}, "spec": spec}
    return [one.message for one in judged(contents_can_be_seen.RULE, recorded(f"kubernetes:{type_}", made))]


@pytest.mark.parametrize(
    ("type_", "spec", "said"),
    [
        (
            "trainer.kubeflow.org/v1alpha1:TrainJob",
            {"runtimeRef": {"kind": "TrainingRuntime", "name": "torch"}},
            "spec.runtimeRef: takes the rest of its pods from TrainingRuntime torch",
        ),
        (
            "serving.kserve.io/v1beta1:InferenceService",
            {"predictor": {"model": {"runtime": "vllm", "name": "x", "modelFormat": {"name": "x"}}}},
            "spec.predictor.model: takes the rest of its pods from serving runtime vllm",
        ),
        (
            "serving.kserve.io/v1beta1:InferenceService",
            {"predictor": {"huggingface": {"storageUri": "hf://a/b"}}},
            "spec.predictor.huggingface: takes the rest of its pods from a serving runtime that KServe chooses",
        ),
        (
            "serving.kserve.io/v1alpha2:LLMInferenceService",
            {"model": {"uri": "hf://a/b", "name": "b"}},
            "spec.model: takes the rest of its pods from KServe's presets",
        ),
        (
            "serving.kserve.io/v1alpha2:LLMInferenceService",
            {"baseRefs": [{"name": "two-nodes"}]},
            "spec.baseRefs.0: takes the rest of its pods from two-nodes",
        ),
        (
            "argoproj.io/v1alpha1:Workflow",
            {"workflowTemplateRef": {"name": "train"}},
            "spec.workflowTemplateRef: runs steps of train",
        ),
        (
            "argoproj.io/v1alpha1:CronWorkflow",
            {
                "workflowSpec": {
                    "templates": [{"dag": {"tasks": [{"templateRef": {"name": "train", "template": "gpu"}}]}}]
                }
            },
            "spec.workflowSpec.templates.0.dag.tasks.0.templateRef: runs steps of train",
        ),
        (
            "argoproj.io/v1alpha1:Rollout",
            {"workloadRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}},
            "spec.workloadRef: takes its pods from Deployment web",
        ),
        ("ray.io/v1:RayCluster", {"workerGroupSpecs": UNKNOWN}, "spec.workerGroupSpecs: is unknown in preview"),
        ("ray.io/v1:RayCluster", {"headGroupSpec": {"template": UNKNOWN}}, "spec.headGroupSpec.template: is unknown"),
        ("batch.volcano.sh/v1alpha1:Job", {"tasks": [UNKNOWN]}, "spec.tasks.0: is unknown in preview"),
        ("argoproj.io/v1alpha1:Workflow", {"templates": UNKNOWN}, "spec.templates: is unknown in preview"),
        ("argoproj.io/v1alpha1:Rollout", {"workloadRef": UNKNOWN}, "spec.workloadRef: is unknown in preview"),
        ("serving.kserve.io/v1beta1:InferenceService", UNKNOWN, "spec: is unknown in preview"),
        (
            "serving.kserve.io/v1beta1:InferenceService",
            {"predictor": {"model": UNKNOWN}},
            "spec.predictor.model: is unk",
        ),
        ("sparkoperator.k8s.io/v1beta2:SparkApplication", {"sparkConf": UNKNOWN}, "spec.sparkConf: is unknown"),
        (
            "sparkoperator.k8s.io/v1beta2:SparkApplication",
            {"sparkConf": {"spark.kubernetes.executor.podTemplateFile": "s3a://jobs/pod.yaml"}},
            "spec.sparkConf: takes pods from file s3a://jobs/pod.yaml",
        ),
    ],
)
def test_pods_that_are_told_elsewhere_are_said(type_: str, spec: Any, said: str) -> None:
    (message,) = unseen(type_, spec)
    assert message.startswith(said)


def test_gpus_of_spark_that_are_not_known_are_said() -> None:
    for gpu in (UNKNOWN, {"name": UNKNOWN, "quantity": 2}, {"name": GPU + ".shared", "quantity": UNKNOWN}):
        (verdict,) = judged(one_slot_per_pod.RULE, pool(), CARRIERS["SparkApplication"].around({"gpu": gpu}))
        assert "must be a literal" in verdict.message
    assert unseen("sparkoperator.k8s.io/v1beta2:SparkApplication", {"sparkConf": {"spark.executor.cores": "2"}}) == []


def test_a_rollout_with_a_template_of_its_own_is_seen() -> None:
    assert unseen("argoproj.io/v1alpha1:Rollout", {"template": {"spec": {"containers": [TWO]}}}) == []


@pytest.mark.parametrize("bend", [dict, list, str, lambda: None, lambda: UNKNOWN, lambda: [None], lambda: {"a": None}])
@EVERY
def test_no_shape_breaks_the_reader(name: str, bend: Callable[[], Any]) -> None:
    carrier = CARRIERS[name]
    for key in ("resources", "env", "name"):
        judged(one_slot_per_pod.RULE, pool(), carrier.around({**_two(name), key: bend()}))
    given = carrier.around(_two(name))
    for key in dict(given.inputs["spec"]):
        bent = recorded(given.type, {**given.inputs, "spec": {**given.inputs["spec"], key: bend()}})
        for rule in (one_slot_per_pod.RULE, devices_by_slot.RULE, k8s_pod_security.RULE):
            judged(rule, pool(), bent)
