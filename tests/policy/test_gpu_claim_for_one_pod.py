"""A claim of GPU memory is one pod's, whatever makes the pods."""

from __future__ import annotations

from typing import Any

import pytest

from policy.analyzer import Recorded
from policy.rules.gpu_claim_for_one_pod import RULE
from tests.policy.claims import CLAIM, TEMPLATE, claim, claimed, device_class, request
from tests.policy.support import UNKNOWN, judged, recorded

DEPLOYMENT = "kubernetes:apps/v1:Deployment"
ENTRY = {"name": "gpu", "resourceClaimName": "gpu-6gi"}
POD = {"containers": [{"name": "main", "image": "a"}], "resourceClaims": [ENTRY]}
HERE = {"name": "it", "namespace": "models"}


def said(*resources: Recorded, claims: Recorded | None = None, annotation: Any = "memory") -> list[str]:
    every = (claimed(annotation), claims or claim(request(), type_=CLAIM), *resources)
    return [verdict.message for verdict in judged(RULE, *every)]


def pods(type_: str = DEPLOYMENT, name: str = "it", pod: Any = None, **spec: Any) -> Recorded:
    """What makes pods that name the claim."""
    whole = {**spec, "template": {"spec": POD if pod is None else pod}}
    return recorded(type_, {"metadata": {"name": name, "namespace": "models"}, "spec": whole}, name)


def made(type_: str, spec: Any) -> Recorded:
    kind = type_.rpartition(":")[2]
    version = type_.removeprefix("kubernetes:").rpartition(":")[0]
    return recorded(type_, {"apiVersion": version, "kind": kind, "metadata": HERE, "spec": spec})


TEMPLATED = {"template": {"spec": POD}}
SEVERAL = [
    pods(replicas=9),
    pods(replicas=9.0),
    pods(replicas=UNKNOWN),
    pods("kubernetes:apps/v1:StatefulSet", replicas=2),
    pods("kubernetes:apps/v1:DaemonSet"),
    pods("kubernetes:batch/v1:Job", parallelism=2),
    pods("kubernetes:serving.knative.dev/v1:Service"),
    made(
        "kubernetes:jobset.x-k8s.io/v1alpha2:JobSet",
        {"replicatedJobs": [{"replicas": 2, "template": {"spec": TEMPLATED}}]},
    ),
    made(
        "kubernetes:leaderworkerset.x-k8s.io/v1:LeaderWorkerSet",
        {"leaderWorkerTemplate": {"size": 4, "workerTemplate": {"spec": POD}}},
    ),
    made("kubernetes:ray.io/v1:RayCluster", {"workerGroupSpecs": [{"maxReplicas": 5, "replicas": 1, **TEMPLATED}]}),
    made("kubernetes:kubeflow.org/v1:PyTorchJob", {"pytorchReplicaSpecs": {"Worker": {"replicas": 3, **TEMPLATED}}}),
    made("kubernetes:batch.volcano.sh/v1alpha1:Job", {"tasks": [{"replicas": 3, **TEMPLATED}]}),
    made("kubernetes:keda.sh/v1alpha1:ScaledJob", {"maxReplicaCount": 4, "jobTargetRef": TEMPLATED}),
    made("kubernetes:keda.sh/v1alpha1:ScaledJob", {"jobTargetRef": {"parallelism": 1, **TEMPLATED}}),
    made("kubernetes:serving.kserve.io/v1beta1:InferenceService", {"predictor": {"minReplicas": 1, **POD}}),
]


@pytest.mark.parametrize("resource", SEVERAL, ids=lambda one: one.type.rpartition(":")[2])
def test_several_pods_of_one_object_share_a_claim(resource: Recorded) -> None:
    (message,) = said(resource)
    assert "several of its pods share claim gpu-6gi" in message
    assert "`resourceClaimTemplateName`" in message


ONE = [
    pods(),
    pods(replicas=1),
    pods(replicas=0),
    pods("kubernetes:batch/v1:Job"),
    recorded("kubernetes:core/v1:Pod", {"metadata": HERE, "spec": POD}),
    made("kubernetes:kubeflow.org/v1:PyTorchJob", {"pytorchReplicaSpecs": {"Master": {"replicas": 1, **TEMPLATED}}}),
    made("kubernetes:keda.sh/v1alpha1:ScaledJob", {"maxReplicaCount": 1, "jobTargetRef": TEMPLATED}),
    made("kubernetes:serving.kserve.io/v1beta1:InferenceService", {"predictor": {"maxReplicas": 1, **POD}}),
]


@pytest.mark.parametrize("resource", ONE, ids=lambda one: one.type.rpartition(":")[2])
def test_one_pod_may_name_a_claim(resource: Recorded) -> None:
    assert said(resource) == []


def test_a_knative_service_that_has_one_pod_at_most() -> None:
    service = {"metadata": {"annotations": {"autoscaling.knative.dev/max-scale": "1"}}, "spec": POD}
    assert said(made("kubernetes:serving.knative.dev/v1:Service", {"template": service})) == []


def test_two_objects_share_a_claim() -> None:
    first, second = said(pods(name="a"), pods(name="b"))
    assert "shares claim gpu-6gi with" in first
    assert "shares claim gpu-6gi with" in second


def test_the_roles_of_a_training_job_are_two_pods() -> None:
    roles = {"Master": {"replicas": 1, **TEMPLATED}, "Worker": {"replicas": 1, **TEMPLATED}}
    assert len(said(made("kubernetes:kubeflow.org/v1:PyTorchJob", {"pytorchReplicaSpecs": roles}))) == 2


def test_what_is_laid_over_an_object_is_not_another() -> None:
    assert said(pods(), pods(f"{DEPLOYMENT}Patch")) == []
    assert len(said(pods(f"{DEPLOYMENT}Patch", replicas=3))) == 1


@pytest.mark.parametrize(
    ("type_", "spec"),
    [
        ("kubernetes:autoscaling/v2:HorizontalPodAutoscaler", {"maxReplicas": 4}),
        ("kubernetes:keda.sh/v1alpha1:ScaledObject", {}),
    ],
)
def test_a_scaler_makes_more_of_one(type_: str, spec: dict[str, Any]) -> None:
    scaler = made(type_, {"scaleTargetRef": {"kind": "Deployment", "name": "it"}, **spec})
    assert len(said(pods(replicas=1), scaler)) == 1
    other = made(type_, {"scaleTargetRef": {"kind": "Deployment", "name": "other"}, **spec})
    assert said(pods(replicas=1), other) == []
    one = made(type_, {"scaleTargetRef": {"kind": "Deployment", "name": "it"}, "maxReplicas": 1})
    assert said(pods(replicas=1), one) == []


def test_a_template_makes_a_claim_for_each_pod() -> None:
    own = {**POD, "resourceClaims": [{"name": "gpu", "resourceClaimTemplateName": "gpu-6gi"}]}
    assert said(pods(replicas=9, pod=own), claims=claim(request(), type_=TEMPLATE)) == []
    assert said(pods(replicas=9), claims=claim(request(), type_=TEMPLATE)) == []  # there is no such claim


def test_other_devices_may_be_shared() -> None:
    assert said(pods(replicas=9), claims=claim(request(deviceClassName="dra.net"), type_=CLAIM)) == []
    looking = claim(request(adminAccess=True), type_=CLAIM)
    assert said(pods(replicas=9), claims=looking) == []
    assert said(pods(replicas=9), annotation="disabled") == []


def test_a_class_of_the_programs_own_may_be_of_gpus() -> None:
    own = claim(request(deviceClassName="team-gpu"), type_=CLAIM)
    (message,) = said(device_class(), pods(replicas=9), claims=own)
    assert message.startswith("several of its pods share claim gpu-6gi")
    assert said(pods(replicas=9), claims=own) == []


def test_what_is_not_known_may_be_shared() -> None:
    unknown = {**POD, "resourceClaims": [{"name": "gpu", "resourceClaimName": UNKNOWN}]}
    (message,) = said(pods(pod=unknown))
    assert "must be a literal" in message
    assert len(said(pods(pod={**POD, "resourceClaims": UNKNOWN}))) == 1
    assert len(said(pods(pod={**POD, "resourceClaims": [UNKNOWN]}))) == 1
    unseen = claim(request(deviceClassName=UNKNOWN), type_=CLAIM)
    assert len(said(pods(replicas=9), claims=unseen)) == 1
    anywhere = recorded(DEPLOYMENT, {"metadata": {"namespace": UNKNOWN}, "spec": {"replicas": 2, **TEMPLATED}})
    assert len(said(anywhere)) == 1


def test_a_claim_of_another_namespace_is_another() -> None:
    elsewhere = recorded(DEPLOYMENT, {"metadata": {"namespace": "web"}, "spec": {"replicas": 2, **TEMPLATED}})
    assert said(elsewhere) == []
