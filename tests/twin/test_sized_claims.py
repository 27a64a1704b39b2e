"""Nobody takes a GPU whose memory is claimed without saying how much of it: the real API server and the pack agree.

Requests are dry runs, so that nothing is left but an answer.
"""

from __future__ import annotations

import copy

import pytest

from components.gpu.sized_claims import CLAIMS_POLICY, PODS_POLICY, claims_policy_spec, pods_policy_spec
from policy.rules import gpu_claims_say_memory
from tests.policy.claims import claimed, request
from tests.policy.support import judged, recorded
from tests.twin.admission import ADMISSION, dry_run
from twin.kube.client import ApiError, Kube, Object
from twin.machine.launch import connect
from twin.machine.state import TwinState

RULE = gpu_claims_say_memory.RULE
CLASS = "gpu.nvidia.com"
BY_CLASS = f"deviceclass.resource.kubernetes.io/{CLASS}"
UNSIZED, EVERYTHING, WHOLE = (
    "must say how much of a GPU",
    "must not have allocationMode All",
    "a whole GPU is requested",
)
FEWER = {"deviceClassName": CLASS, "capacity": {"requests": {"memory": "3Gi"}}}


def either(*requests: Object) -> Object:
    """A prioritized list."""
    return {"name": "gpu", "firstAvailable": [{"name": f"a{index}", **each} for index, each in enumerate(requests)]}


#: Requests of claims, and what is said to who makes them.
REQUESTS: dict[str, tuple[list[Object], str]] = {
    "a size": ([request()], ""),
    "a size without a suffix": ([request("6000000000")], ""),
    "the least": ([request("1Mi")], ""),
    "all of an L4": ([request("23034Mi")], ""),
    "several devices": ([request(count=2)], ""),
    "either size": ([either(request()["exactly"], FEWER)], ""),
    "another class": ([request(deviceClassName="mig.nvidia.com", capacity=None)], ""),
    "no capacity": ([request(capacity=None)], UNSIZED),
    "an empty capacity": ([request(capacity={})], UNSIZED),
    "another capacity": ([request(capacity={"requests": {"shares": "1"}})], UNSIZED),
    "a forgotten unit": ([request("6")], UNSIZED),
    "as a number": ([request(6000)], UNSIZED),
    "no admin": ([request(capacity=None, adminAccess=False)], UNSIZED),
    "the second": ([request(), {**request(capacity=None), "name": "other"}], f"request other {UNSIZED}"),
    "the second alternative": ([either(FEWER, {"deviceClassName": CLASS})], UNSIZED),
    "another class, or all": ([either({"deviceClassName": "a"}, {**FEWER, "allocationMode": "All"})], EVERYTHING),
    "all": ([request(capacity=None, allocationMode="All")], EVERYTHING),
    "all, sized": ([request(allocationMode="All")], EVERYTHING),
}


def made_claim(requests: list[Object], kind: str, namespace: str = "default") -> Object:
    devices = {"devices": {"requests": requests}}
    spec = {"spec": devices} if kind == "ResourceClaimTemplate" else devices
    metadata = {"name": "a", "namespace": namespace}
    return {"apiVersion": "resource.k8s.io/v1", "kind": kind, "metadata": metadata, "spec": spec}


def by_the_pack(manifest: Object) -> bool:
    """Whether the pack's rule finds nothing in a program that makes this where claims share GPUs."""
    api = manifest["apiVersion"] if "/" in manifest["apiVersion"] else f"core/{manifest['apiVersion']}"
    return not judged(RULE, claimed(), recorded(f"kubernetes:{api}:{manifest['kind']}", manifest))


def refused(kube: Kube, manifest: Object) -> str:
    """What a policy says of an object; empty where the API server takes it."""
    try:
        dry_run(kube, manifest)
    except ApiError as error:
        if "ValidatingAdmissionPolicy" not in str(error):
            raise
        return str(error)
    return ""


@pytest.mark.parametrize("kind", ["ResourceClaim", "ResourceClaimTemplate"])
@pytest.mark.parametrize("case", REQUESTS)
def test_a_claim_is_taken_with_a_size_alone(case: str, kind: str, memory: TwinState) -> None:
    """By the API server, whoever made it, as by the pack in a program."""
    requests, said = REQUESTS[case]
    manifest = made_claim(requests, kind)
    found = refused(connect(memory), manifest)
    assert by_the_pack(manifest) is not bool(said)
    assert bool(found) is bool(said), found
    assert said in found
    assert "resulted in error" not in found, "in words of ours"


@pytest.mark.parametrize("spec", [{}, {"devices": {}}, {"devices": {"requests": []}}])
def test_a_claim_of_nothing_is_taken(spec: Object, memory: TwinState) -> None:
    claim, template = (made_claim([], kind) for kind in ("ResourceClaim", "ResourceClaimTemplate"))
    for manifest in ({**claim, "spec": spec}, {**template, "spec": {"spec": spec}}):
        assert refused(connect(memory), manifest) == ""


def test_who_looks_after_gpus_claims_all_of_them(memory: TwinState) -> None:
    """In a namespace of administrators, and it takes nothing of them."""
    kube = connect(memory)
    labels = {"resource.kubernetes.io/admin-access": "true"}
    kube.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "admins", "labels": labels}})
    manifest = made_claim(
        [request(capacity=None, allocationMode="All", adminAccess=True)], "ResourceClaim", namespace="admins"
    )
    try:
        assert refused(kube, manifest) == ""
        assert by_the_pack(manifest)
    finally:
        kube.delete("v1", "Namespace", "admins")


def asking(resource: str, quantity: str = "1", kind: str = "limits") -> Object:
    return {"name": "app", "image": "a", "resources": {kind: {resource: quantity}}}


PLAIN = {"name": "plain", "image": "a"}
#: Specs of pods, and whether they are refused.
PODS_THAT_ASK: dict[str, tuple[Object, bool]] = {
    "nothing": ({"containers": [PLAIN]}, False),
    "cpu for all": ({"containers": [PLAIN], "resources": {"limits": {"cpu": "1"}}}, False),
    "a slot": ({"containers": [asking("nvidia.com/gpu")]}, False),
    "none": ({"containers": [asking(BY_CLASS, "0")]}, False),
    "another class": ({"containers": [asking(f"{BY_CLASS}.org")]}, False),
    "a claim": (
        {
            "containers": [{**PLAIN, "resources": {"claims": [{"name": "gpu"}]}}],
            "resourceClaims": [{"name": "gpu", "resourceClaimName": "a"}],
        },
        False,
    ),
    "limits": ({"containers": [asking(BY_CLASS)]}, True),
    "requests": ({"containers": [asking(BY_CLASS, kind="requests")]}, True),
    "the second": ({"containers": [PLAIN, asking(BY_CLASS, "2")]}, True),
    "before": ({"containers": [PLAIN], "initContainers": [asking(BY_CLASS)]}, True),
    "beside": ({"containers": [PLAIN], "initContainers": [{**asking(BY_CLASS), "restartPolicy": "Always"}]}, True),
}


@pytest.mark.parametrize("case", PODS_THAT_ASK)
def test_a_pod_takes_no_gpu_by_its_class(case: str, memory: TwinState) -> None:
    spec, wrong = PODS_THAT_ASK[case]
    manifest = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "namespace": "default"}, "spec": spec}
    found = refused(connect(memory), manifest)
    assert by_the_pack(manifest) is not wrong
    assert bool(found) is wrong, found
    if wrong:
        assert f"{WHOLE} by its DeviceClass {CLASS}, in container app." in found
        assert "(kubectl get resourceclaimtemplates --namespace default)" in found


def test_the_name_that_the_class_has_in_its_spec_is_none_either(memory: TwinState) -> None:
    """The program gives it one that nobody asks for, in place of the chart's `nvidia.com/gpu`."""
    kube = connect(memory)
    found = kube.get("resource.k8s.io/v1", "DeviceClass", CLASS)
    assert found is not None
    spec = {"containers": [asking(found["spec"]["extendedResourceName"])]}
    manifest = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "namespace": "default"}, "spec": spec}
    assert WHOLE in refused(kube, manifest)


ASKED = {"limits": {BY_CLASS: "1"}}


@pytest.mark.parametrize(
    ("subresource", "change", "why"),
    [
        ("", {"overhead": {BY_CLASS: "1"}}, "pod updates may not change"),
        ("", {"containers": [{"name": "plain", "image": "a", "resources": ASKED}]}, "pod updates may not change"),
        ("resize", {"containers": [{"name": "plain", "image": "a", "resources": ASKED}]}, "only cpu and memory"),
        ("resize", {"resources": ASKED}, "Unsupported value"),
        (
            "ephemeralcontainers",
            {"ephemeralContainers": [{"name": "e", "image": "a", "resources": ASKED}]},
            "cannot be set for an Ephemeral Container",
        ),
    ],
)
def test_kubernetes_lets_no_pod_ask_later(subresource: str, change: Object, why: str, memory: TwinState) -> None:
    """So the policy looks at new pods alone."""
    kube = connect(memory)
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "later", "namespace": "default"},
        "spec": {"containers": [PLAIN], "nodeSelector": {"there-is": "none"}},
    }
    kube.apply(pod)
    try:
        with pytest.raises(ApiError, match=why):
            kube.patch(pod, {"spec": change}, subresource=subresource)
    finally:
        kube.delete("v1", "Pod", "later", "default", grace=0)


@pytest.mark.parametrize("spec", [pods_policy_spec(), claims_policy_spec()], ids=[PODS_POLICY, CLAIMS_POLICY])
def test_the_policies_are_there_as_they_are_written(spec: Object, memory: TwinState) -> None:
    """The API server compiles each expression; it would refuse a word that it does not know."""
    kube = connect(memory)
    policy = {"apiVersion": ADMISSION, "kind": "ValidatingAdmissionPolicy", "metadata": {"name": "a"}, "spec": spec}
    said = [each["messageExpression"] for each in dry_run(kube, policy)["spec"]["validations"]]
    there = kube.list(ADMISSION, "ValidatingAdmissionPolicy")
    assert said in [[each["messageExpression"] for each in found["spec"]["validations"]] for found in there]
    changed = copy.deepcopy(spec)
    changed["variables"][-1]["expression"] = changed["variables"][-1]["expression"].replace("orValue", "orElse")
    with pytest.raises(ApiError, match="undeclared reference"):
        dry_run(kube, {**policy, "spec": changed})
