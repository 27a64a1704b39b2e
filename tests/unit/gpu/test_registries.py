"""What images and charts are called in a mirror."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import botocore
import pytest

import versions
from gpu.registries import UPSTREAMS, EcrRegistry, chart_in_mirror, ecr_registry, host_of, in_mirror

DIGEST = f"@sha256:{'0' * 64}"


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        # ECR user guide, "Pulling an image with a pull through cache rule": official images have their library there.
        ("busybox:1.37", "m.dev/x/docker-hub/library/busybox:1.37"),
        (f"docker.io/busybox{DIGEST}", f"m.dev/x/docker-hub/library/busybox{DIGEST}"),
        ("index.docker.io/library/busybox:1", "m.dev/x/docker-hub/library/busybox:1"),
        ("ollama/ollama:1", "m.dev/x/docker-hub/ollama/ollama:1"),
        (f"docker.io/ollama/ollama:0.32.15{DIGEST}", f"m.dev/x/docker-hub/ollama/ollama:0.32.15{DIGEST}"),
        ("registry.k8s.io/pause:3.10", "m.dev/x/kubernetes/pause:3.10"),
        ("public.ecr.aws/karpenter/controller", "m.dev/x/ecr-public/karpenter/controller"),
        ("quay.io/a/b:1", "m.dev/x/quay/a/b:1"),
        ("ghcr.io/a/b:1", "m.dev/x/github/a/b:1"),
        ("nvcr.io/nvidia/cuda:13", "m.dev/x/nvcr/nvidia/cuda:13"),
        ("gcr.io/a/b:1", "m.dev/x/gcr/a/b:1"),
    ],
)
def test_images_of_public_registries_are_below_their_registry_s_prefix(image: str, expected: str) -> None:
    assert in_mirror(image, "m.dev/x") == expected
    # Once there, it stays.
    assert in_mirror(expected, "m.dev/x") == expected


@pytest.mark.parametrize("image", ["r.acme.dev/app:1", "localhost/app:1", "registry:5000/app:1", "eu.gcr.io/a/b:1"])
def test_images_of_one_s_own_registries_stay(image: str) -> None:
    assert in_mirror(image, "m.dev") == image
    assert host_of(image) == image.partition("/")[0]


def test_charts_are_artifacts_of_the_mirror() -> None:
    assert chart_in_mirror(versions.KARPENTER_CHART, "m.dev") == "oci://m.dev/ecr-public/karpenter/karpenter"
    assert chart_in_mirror(versions.KNATIVE_OPERATOR_CHART, "m.dev/x") == "oci://m.dev/x/charts/knative-operator"


def test_prefixes_are_told_apart_and_ecr_takes_them() -> None:
    (path,) = (Path(botocore.__file__).parent / "data" / "ecr").glob("*/service-2.json.gz")
    shapes = json.loads(gzip.decompress(path.read_bytes()))["shapes"]
    known = set(shapes["UpstreamRegistry"]["enum"])
    assert {upstream.ecr for upstream in UPSTREAMS.values() if upstream.ecr} <= known
    prefixes = [upstream.prefix for upstream in UPSTREAMS.values()]
    assert len(set(prefixes)) == len(prefixes)
    form = shapes["PullThroughCacheRuleRepositoryPrefix"]
    assert all(form["min"] <= len(prefix) <= form["max"] for prefix in prefixes)


@pytest.mark.parametrize(
    ("mirror", "expected"),
    [
        (
            "600000000001.dkr.ecr.eu-west-1.amazonaws.com",
            EcrRegistry(account="600000000001", region="eu-west-1", path=""),
        ),
        (
            "600000000001.dkr.ecr.us-east-1.amazonaws.com/a/b",
            EcrRegistry(account="600000000001", region="us-east-1", path="a/b"),
        ),
        (
            "600000000001.dkr-ecr.us-east-1.on.aws",
            EcrRegistry(account="600000000001", region="us-east-1", path=""),
        ),
        ("harbor.acme.dev/cache", None),
        ("", None),
    ],
)
def test_a_registry_of_ecr_is_known_by_its_host(mirror: str, expected: EcrRegistry | None) -> None:
    assert ecr_registry(mirror) == expected
