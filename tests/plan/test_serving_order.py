"""What serves models comes after all that it needs, and goes before it: on the recorded graph, as in
`test_destroy_order`."""

from collections.abc import Callable

import pytest

from plan.monitor import Resource
from plan.record import Recording
from tests.plan.conftest import STACKS
from tests.plan.knative import SERVICE, SERVING
from tests.plan.test_destroy_order import NODE_POOL, RELEASE, Graph
from tests.plan.variants import varied

NAMES = [*STACKS, "everything", "workloads that sleep"]
CLAIM = "kubernetes:core/v1:PersistentVolumeClaim"
VOLUME = "kubernetes:core/v1:PersistentVolume"
DAEMON_SET = "kubernetes:apps/v1:DaemonSet"


@pytest.fixture(params=NAMES)
def plan(request: pytest.FixtureRequest, recorded: Callable[[str], Recording]) -> Recording:
    return recorded(request.param) if request.param in STACKS else varied(request.param)


def node_pools(plan: Recording, *names: str) -> list[Resource]:
    return [r for r in plan.of_type(NODE_POOL) if not names or r.inputs["metadata"]["name"] in names]


def operator(plan: Recording) -> list[Resource]:
    return [r for r in plan.of_type(RELEASE) if r.inputs["name"] == "knative-operator"]


def namespaces(plan: Recording, *names: str) -> list[Resource]:
    return [r for r in plan.of_type("kubernetes:core/v1:Namespace") if r.inputs["metadata"]["name"] in names]


def test_services_go_before_knative_and_knative_before_its_operator(plan: Recording) -> None:
    graph = Graph(plan)
    services, serving = plan.of_type(SERVICE), plan.of_type(SERVING)
    assert len(services) >= 3
    assert len(serving) == len(operator(plan)) == 1
    assert graph.missing(services, serving) == []
    assert graph.missing(serving, operator(plan)) == []
    spaces = namespaces(plan, "knative-operator", "knative-serving")
    assert len(spaces) == 2
    assert graph.missing(serving, spaces) == []


def test_models_go_before_their_nodes_and_before_what_keeps_them_apart(plan: Recording) -> None:
    graph = Graph(plan)
    for service in plan.of_type(SERVICE):
        selector = service.inputs["spec"]["template"]["spec"]["nodeSelector"]
        pools = node_pools(plan, selector["gpu-slices/pool"]) if "gpu-slices/pool" in selector else node_pools(plan)
        if "intent" in selector:
            pools = [p for p in pools if p.inputs["spec"]["template"]["metadata"]["labels"].get("intent")]
        assert pools
        assert graph.missing([service], pools) == []
        own = service.inputs["metadata"]["namespace"]
        policies = [
            r
            for r in plan.of_type("kubernetes:networking.k8s.io/v1:NetworkPolicy")
            if r.inputs["metadata"]["namespace"] == own
        ]
        assert policies
        assert graph.missing([service], [*policies, *namespaces(plan, own)]) == []


def test_the_cache_goes_after_its_models_and_before_its_nodes(plan: Recording) -> None:
    graph = Graph(plan)
    cached = [r for r in plan.of_type(SERVICE) if "initContainers" in r.inputs["spec"]["template"]["spec"]]
    if not cached:
        assert not plan.of_type(DAEMON_SET), "no models"
        return
    (cache,) = plan.of_type(DAEMON_SET)
    claims = [r for r in plan.of_type(CLAIM) if r.inputs["metadata"]["namespace"] != "dialogue"]
    volumes = plan.of_type(VOLUME)
    assert (len(claims), len(volumes)) == (1, 1)
    assert graph.missing(cached, [cache, *claims]) == []
    assert graph.missing(claims, volumes) == []
    spec = cache.inputs["spec"]["template"]["spec"]["affinity"]["nodeAffinity"]
    (term,) = spec["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    assert graph.missing([cache], node_pools(plan, *term["matchExpressions"][0]["values"])) == []
    assert graph.missing([cache], namespaces(plan, "gpu-system")) == []


def test_knative_goes_before_the_nodes_that_it_runs_on(plan: Recording) -> None:
    graph = Graph(plan)
    nodes = [*plan.of_type("aws:eks/nodeGroup:NodeGroup"), *plan.of_type("aws:ec2/natGateway:NatGateway")]
    assert graph.missing([*plan.of_type(SERVING), *operator(plan)], nodes) == []


def test_warm_slots_go_before_their_nodes() -> None:
    plan = varied("everything")
    graph = Graph(plan)
    (buffer,) = plan.of_type("kubernetes:autoscaling.x-k8s.io/v1beta1:CapacityBuffer")
    (hours,) = [r for r in plan.of_type("kubernetes:batch/v1:CronJob") if r.name == "warm-q-hours"]
    assert graph.missing([buffer], node_pools(plan, "p")) == []
    assert graph.missing([hours], node_pools(plan, "q")) == []
    controllers = [r for r in plan.of_type(RELEASE) if r.inputs["name"] in ("karpenter", "karpenter-crd")]
    assert len(controllers) == 2
    assert graph.missing([buffer], controllers) == []
    (karpenter,) = [r for r in controllers if r.inputs["name"] == "karpenter"]
    assert karpenter.inputs["values"]["settings"]["featureGates"]["capacityBuffer"] is True


def test_the_door_goes_before_what_it_leads_to_and_stands_in() -> None:
    plan = varied("everything")
    graph = Graph(plan)
    (balancer,) = plan.of_type("aws:lb/loadBalancer:LoadBalancer")
    (attachment,) = plan.of_type("aws:autoscaling/attachment:Attachment")
    (listener,) = plan.of_type("aws:lb/listener:Listener")
    (record,) = plan.of_type("aws:route53/record:Record")
    assert graph.missing([attachment], plan.of_type("aws:eks/nodeGroup:NodeGroup")) == []
    assert graph.missing([listener, record], [balancer]) == []
    assert graph.missing([balancer], plan.of_type("aws:ec2/vpc:Vpc")) == []
    # No controller owns it, so none has to outlive it.
    assert not [r for r in plan.of_type("kubernetes:core/v1:Service") if r.inputs["spec"].get("type") == "LoadBalancer"]


def test_who_gives_pods_their_claims_is_there_before_them_and_as_long(recorded: Callable[[str], Recording]) -> None:
    """A pod that is made without the policy has no GPU, and one whose template is gone waits for ever."""
    plan = recorded("memory")
    graph = Graph(plan)
    models, templates = plan.of_type(SERVICE), plan.of_type("kubernetes:resource.k8s.io/v1:ResourceClaimTemplate")
    group = "kubernetes:admissionregistration.k8s.io/v1:"
    (policy,) = plan.of_type(f"{group}MutatingAdmissionPolicy")
    (binding,) = plan.of_type(f"{group}MutatingAdmissionPolicyBinding")
    assert len(models) == len(templates) == 3
    assert graph.missing(models, [policy, binding, *templates]) == []
    assert graph.missing(node_pools(plan, "memory"), [policy, binding]) == []
    # What Kubernetes lets nobody change has its content in its name, so that another size is another resource.
    for template in templates:
        (request,) = template.inputs["spec"]["spec"]["devices"]["requests"]
        size = request["exactly"]["capacity"]["requests"]["memory"].removesuffix("Mi")
        assert template.name == f"models-claim-{size}mi"
        assert template.inputs["metadata"]["name"] == f"gpu-{size}mi"


def test_only_alpha_gates_that_something_needs_are_open(recorded: Callable[[str], Recording]) -> None:
    (karpenter,) = [r for r in recorded("dev").of_type(RELEASE) if r.inputs["name"] == "karpenter"]
    assert karpenter.inputs["values"]["settings"]["featureGates"]["capacityBuffer"] is False
