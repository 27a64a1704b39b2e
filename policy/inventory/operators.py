"""Where objects of other people's operators keep the pods that they make.

One table: a kind, and the places of its pods, by the types of its own API (Go types at the heads of main branches, on
2026-11-30). What a kind of this table has beside them is read by its shape, as kinds that nobody knows
(`policy.inventory.kubernetes`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from fnmatch import translate
from functools import cache
from typing import Any, Final

from policy.inventory.item import Blind, Item, without_nothing
from policy.reading import Unknown, each, get, text, whole

Chain = tuple[Mapping[str, Any], ...]
"""The maps on the way to a pod, from the object's own to the one that tells of the pod."""


@dataclass(frozen=True)
class Template:
    """A pod template. partial: whether something else adds to it, so that what is missing says nothing."""

    content: Mapping[str, Any]
    partial: bool = False


@dataclass(frozen=True)
class Pods:
    """A place of pods: the path of the map that tells of them (`*`: every element of a list or map), and its reader.

    The reader gives nothing where there is no pod.
    """

    path: str
    read: Callable[[Chain], Template | None]


@dataclass(frozen=True)
class Elsewhere:
    """A place that says that pods, or a part of them, are told by another object.

    says: before the name of that object, which stands under one of `names`. unnamed: where there is none; empty where
    nothing is elsewhere then.
    """

    path: str
    says: str
    unnamed: str = ""
    names: tuple[str, ...] = ("runtime", "name")


@dataclass(frozen=True)
class Kind:
    """What is known of a kind.

    ends: whether its pods end by themselves; None for what only others make pods of. unsaid: how many pods there may be
    of a template where nothing sets a most.
    """

    pods: tuple[Pods, ...]
    ends: bool | None = False
    elsewhere: tuple[Elsewhere, ...] = ()
    unsaid: int = 0


def _template(chain: Chain) -> Template:
    """A PodTemplateSpec."""
    return Template(chain[-1])


def _patch(chain: Chain) -> Template:
    """What is laid over a PodTemplateSpec."""
    return Template(chain[-1], partial=True)


def _specification(chain: Chain) -> Template:
    """A PodSpec, with labels and annotations in the map around it."""
    return Template({"metadata": _labels(chain[-2]), "spec": chain[-1]})


#: Servers of KServe's components, each of which is a container in the map of the component (serving/v1beta1
#: predictor.go, explainer.go; the last two until 0.9).
_SERVERS: Final = (
    *("model", "sklearn", "xgboost", "tensorflow", "pytorch", "triton", "onnx", "huggingface", "pmml", "lightgbm"),
    *("paddle", "art", "alibi", "aix"),
)


def _component(chain: Chain) -> Template | None:
    """A component of KServe: a PodSpec, servers and settings of its own in one map."""
    here = chain[-1]
    servers = [{**here[name], "name": name} for name in _SERVERS if isinstance(here.get(name), Mapping)]
    containers = [*each(here.get("containers")), *servers]
    if not containers:
        return None
    content = {"metadata": _labels(here), "spec": {**here, "containers": containers}}
    return Template(content, partial=bool(servers))


def _container(chain: Chain) -> Template:
    """Settings that go into a container whose rest is elsewhere."""
    here = {**chain[-1]}
    resources = here.pop("resourcesPerNode", None)  # of a TrainJob's trainer
    container = {"name": "container", **({"resources": resources} if resources is not None else {}), **here}
    return Template({"spec": {"containers": [container]}}, partial=True)


#: What a workflow says of the pods of all its steps under names of its own (Argo Workflows, WorkflowSpec).
_OF_WORKFLOW: Final[Mapping[str, str]] = {"podPriorityClassName": "priorityClassName", "podMetadata": "metadata"}
#: What a workflow, or a step of one, says of its pods beside containers (WorkflowSpec and Template).
OF_STEPS: Final = (
    *("initContainers", "sidecars", "volumes", "nodeSelector", "tolerations", "affinity", "securityContext"),
    *("serviceAccountName", "automountServiceAccountToken", "hostAliases", "hostNetwork", "resourceClaims"),
    *("schedulerName", "priorityClassName"),
)
#: What a step is (Template): one of these, of which the first two are containers.
_OF_STEP: Final = (
    "container",
    "script",
    "containerSet",
    "steps",
    "dag",
    "suspend",
    "resource",
    "data",
    "http",
    "plugin",
)


def _step(chain: Chain) -> Template | None:
    """A step of a workflow, with what the workflow says of all steps."""
    here = chain[-1]
    workflow = next((one for one in chain if "templates" in one), {})
    defaults = _map(workflow.get("templateDefaults"))
    kinds = [name for name in _OF_STEP if name in here] or [name for name in _OF_STEP if name in defaults]
    parts = {name: _over(defaults.get(name), here.get(name)) for name in kinds}
    containers = [{**parts[name], "name": name} for name in _OF_STEP[:2] if isinstance(parts.get(name), Mapping)]
    containers += [*each(get(parts.get("containerSet"), "containers")), *each(here.get("sidecars"))]
    if not containers:
        return None
    spec: dict[str, Any] = {}
    metadata: Any = {}
    for around in (workflow, defaults, here):
        spec |= {name: around[name] for name in OF_STEPS if name in around}
        spec |= {own: around[theirs] for theirs, own in _OF_WORKFLOW.items() if theirs in around and own != "metadata"}
        metadata = _over(metadata, around.get("podMetadata" if around is workflow else "metadata"))
    spec.pop("sidecars", None)
    return Template({"metadata": metadata, "spec": {**spec, "containers": containers}})


def _over(under: Any, over: Any) -> Any:
    if not isinstance(under, Mapping) or not isinstance(over, Mapping):
        return under if over is None else over
    return {**under, **{key: _over(under.get(key), value) for key, value in over.items()}}


#: Settings of a pod of Spark's that are its container's, and that are the pod's under other names (SparkPodSpec).
_SPARKS_CONTAINER: Final = ("image", "envFrom", "volumeMounts", "securityContext", "lifecycle")
_SPARKS_POD: Final[Mapping[str, str]] = {
    **{name: name for name in ("affinity", "tolerations", "schedulerName", "initContainers", "hostNetwork")},
    **{name: name for name in ("nodeSelector", "hostAliases", "shareProcessNamespace", "priorityClassName")},
    "terminationGracePeriodSeconds": "terminationGracePeriodSeconds",
    "podSecurityContext": "securityContext",
    "serviceAccount": "serviceAccountName",
}


def _spark(chain: Chain) -> Template:
    """The driver or the executors of Spark, which are written over the first container of a template."""
    application, here = chain[-2], chain[-1]
    base = _map(here.get("template"))
    spec = _map(base.get("spec"))
    first, *others = [*each(spec.get("containers"))] or [{"name": "spark"}]
    container = {name: value for name in _SPARKS_CONTAINER if (value := here.get(name)) is not None}
    if "image" in application:
        container.setdefault("image", application["image"])
    variables = {**_spark_variables(application, here), **_map(here.get("envVars"))}
    container["env"] = [*each(here.get("env")), *({"name": name, "value": given} for name, given in variables.items())]
    container["resources"] = _spark_resources(application, here)
    own = {theirs: here[name] for name, theirs in _SPARKS_POD.items() if name in here}
    around = {name: application[name] for name in ("nodeSelector", "volumes") if name in application}
    containers = [_over(first, _without_empty(container)), *others, *each(here.get("sidecars"))]
    content = {
        "metadata": _over(base.get("metadata") or {}, _labels(here)),
        "spec": {**around, **spec, **own, "containers": containers},
    }
    return Template(content)


def _without_empty(given: Mapping[str, Any]) -> dict[str, Any]:
    """Settings that say something."""
    return {name: value for name, value in given.items() if value not in ([], {})}


def _spark_resources(application: Mapping[str, Any], here: Mapping[str, Any]) -> dict[str, Any]:
    """What Spark asks for: cores and memory always (1 and 1g where nothing is said), and GPUs."""
    memory = here.get("memory", "1g")
    if isinstance(memory, str):  # in the JVM's units
        memory = f"{memory[:-1]}{memory[-1:].upper()}i" if memory[-1:].isalpha() else memory
    cores = here.get("coreRequest", here.get("cores", 1))
    limits = {name: quantity for name, quantity in _spark_gpus(application, here) if name != "/gpu"}
    asked = here.get("gpu")
    unknown = next((given for given in (asked, get(asked, "name")) if isinstance(given, Unknown)), None)
    return {"requests": {"cpu": cores, "memory": memory}, "limits": unknown or {"memory": memory, **limits}}


def _spark_gpus(application: Mapping[str, Any], here: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """GPUs by the operator's own setting, and by Spark's (spark.apache.org, Running on Kubernetes)."""
    if isinstance(here.get("gpu"), Mapping):
        yield text(get(here, "gpu", "name")), get(here, "gpu", "quantity")
    part, settings = _part(application, here), _map(application.get("sparkConf"))
    amount = settings.get(f"spark.{part}.resource.gpu.amount")
    if amount is not None:
        yield f"{text(settings.get(f'spark.{part}.resource.gpu.vendor'))}/gpu", amount


def _spark_variables(application: Mapping[str, Any], here: Mapping[str, Any]) -> dict[str, Any]:
    """Variables by Spark's own settings."""
    prefix = {"driver": "spark.kubernetes.driverEnv.", "executor": "spark.executorEnv."}[_part(application, here)]
    settings = _map(application.get("sparkConf"))
    return {name.removeprefix(prefix): value for name, value in settings.items() if name.startswith(prefix)}


def _part(application: Mapping[str, Any], here: Mapping[str, Any]) -> str:
    return "driver" if here is application.get("driver") else "executor"


def _map(given: Any) -> Mapping[str, Any]:
    return given if isinstance(given, Mapping) else {}


def _labels(around: Mapping[str, Any]) -> dict[str, Any]:
    return {name: around[name] for name in ("labels", "annotations") if name in around}


_REST: Final = "takes the rest of its pods from"


def _templates(*paths: str) -> tuple[Pods, ...]:
    return tuple(Pods(path, _template) for path in paths)


def _ray(cluster: str) -> tuple[Pods, ...]:
    """A RayCluster's (ray/v1 raycluster_types.go)."""
    return (
        *_templates(f"{cluster}.headGroupSpec.template", f"{cluster}.workerGroupSpecs.*.template"),
        Pods(f"{cluster}.autoscalerOptions", _container),
    )


def _train(job: str) -> Kind:
    """A TrainJob (trainer/v1alpha1 trainjob_types.go), and its overrides of older versions."""
    patches = (
        "runtimePatches.*.trainingRuntimeSpec.template.spec.replicatedJobs.*.template.spec.template",
        *("podTemplateOverrides.*", "podSpecOverrides.*"),
    )
    pods = (
        *(Pods(f"{job}.{name}", _container) for name in ("trainer", "initializer.dataset", "initializer.model")),
        *(Pods(f"{job}.{path}", _patch) for path in patches),
    )
    runtime = Elsewhere(f"{job}.runtimeRef", _REST, f"{_REST} a runtime that it does not name")
    return Kind(pods, ends=True, elsewhere=(runtime,))


def _workflow(spec: str) -> Kind:
    """A WorkflowSpec (workflow/v1alpha1 workflow_types.go)."""
    steps = ("", ".steps.*.*.inline", ".steps.*.inline", ".dag.tasks.*.inline")
    others = (f"{spec}.templates.*.{step}.templateRef" for step in ("steps.*.*", "steps.*", "dag.tasks.*"))
    elsewhere = (f"{spec}.workflowTemplateRef", *others)
    return Kind(
        tuple(Pods(f"{spec}.templates.*{step}", _step) for step in steps),
        ends=True,
        elsewhere=(
            *(Elsewhere(path, "runs steps of", "runs steps that are not named") for path in elsewhere),
            Elsewhere(f"{spec}.templateDefaults", "", names=()),  # told where it is not known
        ),
    )


def _replicas(name: str) -> Kind:
    """A job of the training operator (kubeflow.org/v1 *_types.go)."""
    return Kind(_templates(f"spec.{name}.*.template"), ends=True)


def _spark_application(spec: str) -> Kind:
    """A SparkApplicationSpec (sparkoperator v1beta2 sparkapplication_types.go)."""
    files = tuple(f"spark.kubernetes.{part}.podTemplateFile" for part in ("driver", "executor"))
    return Kind(
        (Pods(f"{spec}.driver", _spark), Pods(f"{spec}.executor", _spark)),
        ends=True,
        elsewhere=(Elsewhere(f"{spec}.sparkConf", "takes pods from file", names=files),),
    )


_RUNTIME: Final = Kind((Pods("spec", _component), Pods("spec.workerSpec", _component)), ends=None)
#: More pods than one, where an autoscaler has no bound (Knative, `max-scale` 0).
_UNBOUNDED: Final = 2
#: KEDA's own (apis/keda/v1alpha1 scaledjob_types.go).
_SCALED_JOBS: Final = 100
_COMPONENTS: Final = ("predictor", "transformer", "explainer")
_LLM_PODS: Final = (
    *("template", "worker", "prefill.template", "prefill.worker"),
    *("router.scheduler.template", "router.scheduler.tokenizer.template"),
)
_LLM: Final = Kind(
    tuple(Pods(f"spec.{name}", _specification) for name in _LLM_PODS),
    elsewhere=(
        Elsewhere("spec.model", "", f"{_REST} KServe's presets", names=()),
        Elsewhere("spec.baseRefs.*", _REST, f"{_REST} presets"),
    ),
)
_TRAINING: Final = Kind(_templates("spec.template.spec.replicatedJobs.*.template.spec.template"), ends=None)

#: Shell patterns over type tokens.
KINDS: Final[Mapping[str, Kind]] = {
    "serving.kserve.io/*:InferenceService": Kind(
        (*(Pods(f"spec.{part}", _component) for part in _COMPONENTS), Pods("spec.predictor.workerSpec", _component)),
        elsewhere=tuple(
            Elsewhere(
                f"spec.{part}.{server}",
                f"{_REST} serving runtime",
                f"{_REST} a serving runtime that KServe chooses",
                names=("runtime",),
            )
            for part in _COMPONENTS
            for server in _SERVERS
        ),
        unsaid=_UNBOUNDED,
    ),
    "serving.kserve.io/*:ServingRuntime": _RUNTIME,
    "serving.kserve.io/*:ClusterServingRuntime": _RUNTIME,
    "serving.kserve.io/*:LLMInferenceService": _LLM,
    "serving.kserve.io/*:LLMInferenceServiceConfig": replace(_LLM, ends=None),
    "kubeflow.org/*:PyTorchJob": _replicas("pytorchReplicaSpecs"),
    "kubeflow.org/*:TFJob": _replicas("tfReplicaSpecs"),
    "kubeflow.org/*:MPIJob": _replicas("mpiReplicaSpecs"),
    "kubeflow.org/*:XGBoostJob": _replicas("xgbReplicaSpecs"),
    "kubeflow.org/*:PaddleJob": _replicas("paddleReplicaSpecs"),
    "kubeflow.org/*:JAXJob": _replicas("jaxReplicaSpecs"),
    "trainer.kubeflow.org/*:TrainJob": _train("spec"),
    "trainer.kubeflow.org/*:OptimizationJob": _train("spec.trainJobTemplate.spec"),
    "trainer.kubeflow.org/*:TrainingRuntime": _TRAINING,
    "trainer.kubeflow.org/*:ClusterTrainingRuntime": _TRAINING,
    "ray.io/*:RayCluster": Kind(_ray("spec")),
    "ray.io/*:RayService": Kind(_ray("spec.rayClusterConfig")),
    "ray.io/*:RayJob": Kind((*_ray("spec.rayClusterSpec"), *_templates("spec.submitterPodTemplate")), ends=True),
    "ray.io/*:RayCronJob": Kind(
        (*_ray("spec.jobTemplate.rayClusterSpec"), *_templates("spec.jobTemplate.submitterPodTemplate")), ends=True
    ),
    "batch.volcano.sh/*:Job": Kind(_templates("spec.tasks.*.template"), ends=True),
    "batch.volcano.sh/*:CronJob": Kind(_templates("spec.jobTemplate.spec.tasks.*.template"), ends=True),
    "flow.volcano.sh/*:JobTemplate": Kind(_templates("spec.tasks.*.template"), ends=True),
    "training.volcano.sh/*:HyperJob": Kind(
        _templates("spec.replicatedJobs.*.templateSpec.tasks.*.template"), ends=True
    ),
    **{
        f"argoproj.io/*:{kind}": _workflow("spec")
        for kind in ("Workflow", "WorkflowTemplate", "ClusterWorkflowTemplate")
    },
    "argoproj.io/*:CronWorkflow": _workflow("spec.workflowSpec"),
    # Its own template is read as a Deployment's is (`policy.pods`).
    "argoproj.io/*:Rollout": Kind(
        (), elsewhere=(Elsewhere("spec.workloadRef", "takes its pods from", "takes its pods from another object"),)
    ),
    "keda.sh/*:ScaledJob": Kind(_templates("spec.jobTargetRef.template"), ends=True, unsaid=_SCALED_JOBS),
    "sparkoperator.k8s.io/*:SparkApplication": _spark_application("spec"),
    "sparkoperator.k8s.io/*:ScheduledSparkApplication": _spark_application("spec.template"),
}
_PATTERNS: Final = tuple((re.compile(translate(f"kubernetes:{name}")), kind) for name, kind in KINDS.items())


@cache
def kind_of(type_: str) -> Kind | None:
    """What is known of a kind; None of those that are not in the table. type_: its token."""
    return next((kind for pattern, kind in _PATTERNS if pattern.match(type_.removesuffix("Patch"))), None)


def pods_of(kind: Kind, item: Item) -> Iterator[Item | Blind]:
    """The pods of an object of the table, and what of them is said elsewhere."""
    patch = item.type.endswith("Patch")
    unknown: set[str] = set()
    for pods in kind.pods:
        for place, chain in _at((item.props,), item.place, pods.path.split(".")):
            if isinstance(chain, Unknown):
                unknown.add(place)
            elif (found := pods.read(chain)) is not None:
                yield made(
                    found.content,
                    item,
                    place,
                    ends=kind.ends,
                    partial=patch or found.partial,
                    count=_count(chain, kind.unsaid),
                )
    for other in kind.elsewhere:
        for place, chain in _at((item.props,), item.place, other.path.split(".")):
            if isinstance(chain, Unknown):
                unknown.add(place)
            elif said := _said(other, chain[-1]):
                yield Blind(place, said)
    yield from (Blind(place, "is unknown in preview") for place in sorted(unknown))


def _said(other: Elsewhere, reference: Mapping[str, Any]) -> str:
    name = next((text(reference[key]) for key in other.names if reference.get(key)), "")
    return " ".join(filter(None, (other.says, text(reference.get("kind")), name))) if name else other.unnamed


def _at(chain: Chain, place: str, path: list[str]) -> Iterator[tuple[str, Chain | Unknown]]:
    """Maps at a path, each with the maps around it."""
    if not path:
        yield place, chain
        return
    here: Any = chain[-1]
    pairs = here.items() if path[0] == "*" else ((path[0], here[path[0]]),) if path[0] in here else ()
    for key, element in pairs:
        yield from _below(chain, f"{place}.{key}".lstrip("."), element, path[1:])


def _below(chain: Chain, place: str, element: Any, rest: list[str]) -> Iterator[tuple[str, Chain | Unknown]]:
    if isinstance(element, Unknown):
        yield place, element
    elif isinstance(element, Mapping):
        yield from _at((*chain, element), place, rest)
    elif isinstance(element, list) and rest and rest[0] == "*":
        for index, one in enumerate(element):
            yield from _below(chain, f"{place}.{index}", one, rest[1:])


#: What operators call the number of pods that are alike, in the map of the pods or around it.
_COUNTS: Final = ("maxReplicas", "replicas", "instances", "numNodes", "parallelism", "maxReplicaCount")


def _count(chain: Chain, unsaid: int) -> Any:
    """How many pods there may be of these; None where it is not said."""
    given = {name: around[name] for around in chain[1:] for name in _COUNTS if around.get(name) is not None}
    if not any(name.startswith("max") for name in given) and unsaid:
        given["unsaid"] = unsaid
    unknown = next((value for value in given.values() if isinstance(value, Unknown)), None)
    return unknown or max((whole(value) or 0 for value in given.values()), default=None)


def made(
    template: Mapping[str, Any],
    item: Item,
    place: str,
    *,
    ends: bool | None = None,
    partial: bool = False,
    count: Any = None,
) -> Item:
    """Pods of an object as rules know them: of a Job, a ReplicaSet, or of a template where it is not known which.

    They have the namespace, labels and annotations of the object, and no name: they are not the object of that name.
    """
    metadata = {name: get(item.props, "metadata", name) for name in ("namespace", "labels", "annotations")}
    containers = get(template, "spec", "containers")
    # A container without an image is laid over one of an operator's, of which the rest is not known.
    over = any("image" not in one for one in each(containers) if isinstance(one, Mapping))
    manifest: dict[str, Any] = {"metadata": without_nothing(metadata)}
    if ends is None:
        type_ = "core/v1:PodTemplate"
        manifest |= {"apiVersion": "v1", "kind": "PodTemplate", "template": template}
    else:
        type_, version, number = _ENDING if ends else _STANDING
        spec = without_nothing({number: count, "template": template})
        manifest |= {"apiVersion": version, "kind": type_.rpartition(":")[2], "spec": spec}
    return Item(f"kubernetes:{type_}{'Patch' if partial or over else ''}", manifest, place, item.name)


_ENDING: Final = ("batch/v1:Job", "batch/v1", "parallelism")
_STANDING: Final = ("apps/v1:ReplicaSet", "apps/v1", "replicas")
