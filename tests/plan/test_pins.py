"""Pinned means pinned: what a plan names does not move by itself."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
import yaml
from pulumi.runtime.rpc import UNKNOWN

import versions
from components.cluster.ebs_driver import ADDON as DRIVER
from components.monitoring.gpu_monitoring import ADDON as MONITORING
from plan.record import Recording
from tests.plan.conftest import ROOT, STACKS
from tests.plan.variants import VARIANTS, changed_dev, varied

DIGEST = re.compile(r"@sha256:[0-9a-f]{64}$")
#: Keys under which an object names an image: a container's, an image volume's, and Knative's table of replacements.
IMAGE_KEYS = {"image", "reference", "kourier-gateway"}

#: Images that the stack files of the variants name.
USERS = {
    container["image"]
    for variant in VARIANTS.values()
    for workload in variant.get("workloads", [])
    for container in workload["containers"]
}


def images(value: Any) -> Iterator[str]:
    """Image references anywhere in the inputs of an object, and in JSON within them."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if key in IMAGE_KEYS and isinstance(inner, str):
                yield inner
            else:
                yield from images(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from images(inner)
    elif isinstance(value, str) and value.startswith('{"'):
        yield from images(json.loads(value))


@pytest.fixture(params=[*STACKS, *VARIANTS])
def plan(request: pytest.FixtureRequest, recorded: Callable[[str], Recording]) -> Recording:
    return recorded(request.param) if request.param in STACKS else varied(request.param)


def test_every_image_of_a_plan_is_pinned_by_digest(plan: Recording) -> None:
    found = {image for resource in plan.resources for image in images(plan.preview_inputs(resource))}
    assert versions.KOURIER_GATEWAY_IMAGE in found
    assert any("/ollama:" in image for image in found) or not plan.of_type("gpu-slices:index:OllamaModel")
    # What Docker builds has its digest when it is built (`AppImage.reference`); a stack file's own are its user's.
    assert {image for image in found if not DIGEST.search(image)} - {UNKNOWN, *USERS} <= set(versions.TAG_NOT_DIGEST)


def test_exceptions_are_needed_and_say_why(recorded: Callable[[str], Recording]) -> None:
    found = {image for resource in recorded("dev").resources for image in images(resource.inputs)}
    for image, reason in versions.TAG_NOT_DIGEST.items():
        assert image in found
        assert not DIGEST.search(image)
        assert ":" in image
        assert not image.endswith(":latest")
        assert len(reason.split()) > 5


@pytest.mark.parametrize(
    ("inputs", "expected"),
    [
        ({"spec": {"containers": [{"image": "a:1"}, {"image": "b:2"}]}}, ["a:1", "b:2"]),
        ({"volumes": [{"image": {"reference": "c:3"}}]}, ["c:3"]),
        ({"spec": {"registry": {"override": {"kourier-gateway": "d:4"}}}}, ["d:4"]),
        ({"configurationValues": '{"dcgmAgent": {"image": "e:5"}}'}, ["e:5"]),
    ],
)
def test_images_are_found_wherever_they_are(inputs: Any, expected: list[str]) -> None:
    assert list(images(inputs)) == expected


def test_add_ons_name_their_versions_and_so_does_the_image_of_the_system_nodes(plan: Recording) -> None:
    addons = plan.of_type("aws:eks/addon:Addon")
    table = versions.EKS_ADDON_VERSIONS[versions.EKS_DEFAULT_VERSION]
    found = {each.inputs["addonName"]: each.inputs["addonVersion"] for each in addons}
    assert found.items() <= table.items()
    # Conversations need a driver for volumes, and the stack file asks for monitoring; one of the variants does.
    assert table.keys() - found.keys() <= {DRIVER, MONITORING}
    [group] = plan.of_type("aws:eks/nodeGroup:NodeGroup")
    assert group.inputs["releaseVersion"] == versions.SYSTEM_NODE_RELEASES[versions.EKS_DEFAULT_VERSION]


def test_no_alias_and_no_chart_moves(plan: Recording) -> None:
    classes, releases = (
        plan.of_type(f"kubernetes:{kind}") for kind in ("karpenter.k8s.aws/v1:EC2NodeClass", "helm.sh/v3:Release")
    )
    assert classes
    assert releases
    for node_class in classes:
        [term] = node_class.inputs["spec"]["amiSelectorTerms"]
        assert re.fullmatch(r"(al2023@v\d{8}|bottlerocket@v\d+\.\d+\.\d+)", term["alias"])
    for release in releases:
        assert re.fullmatch(r"v?\d+\.\d+\.\d+", release.inputs["version"]), release.name


def gates(plan: Recording) -> set[str]:
    """Karpenter's feature gates that are on."""
    releases = plan.of_type("kubernetes:helm.sh/v3:Release")
    [karpenter] = [each for each in releases if each.inputs["name"] == "karpenter"]
    return {gate for gate, on in karpenter.inputs["values"]["settings"]["featureGates"].items() if on}


def test_only_what_was_asked_for_acts_on_its_own(recorded: Callable[[str], Recording]) -> None:
    assert gates(recorded("dev")) == {"nodeOverlay"}
    assert gates(changed_dev({"cluster": {"nodeRepair": True}})) == {"nodeOverlay", "nodeRepair"}


def unpaced(plan: Recording) -> set[str]:
    """NodePools none of whose budgets holds for node repair: one without reasons holds for all."""
    budgets = {
        each.inputs["metadata"]["name"]: each.inputs["spec"]["disruption"]["budgets"]
        for each in plan.of_type("kubernetes:karpenter.sh/v1:NodePool")
    }
    repair = "Unhealthy"
    return {pool for pool, found in budgets.items() if not any(repair in b.get("reasons", [repair]) for b in found)}


def test_repair_is_paced_in_every_pool_where_it_is_on(recorded: Callable[[str], Recording]) -> None:
    """Where it is off nothing names it: definitions of Karpenter's before 1.15 refuse the reason."""
    assert unpaced(recorded("dev")) == {"shared"}
    assert unpaced(changed_dev({"cluster": {"nodeRepair": True}})) == set()


@pytest.mark.parametrize("minor", versions.EKS_ADDON_VERSIONS)
def test_every_kubernetes_that_may_be_asked_for_can_be_planned(minor: str) -> None:
    plan = changed_dev({"cluster": {"version": minor}})
    [group] = plan.of_type("aws:eks/nodeGroup:NodeGroup")
    assert group.inputs["releaseVersion"].startswith(f"{minor}.")
    [proxy] = [each for each in plan.of_type("aws:eks/addon:Addon") if each.inputs["addonName"] == "kube-proxy"]
    assert proxy.inputs["addonVersion"].startswith(f"v{minor}.")


def test_versions_are_known_for_every_kubernetes_in_standard_support() -> None:
    supported = {minor for minor, ends in versions.EKS_STANDARD_SUPPORT_ENDS.items() if ends >= versions.VERSIONS_DATE}
    assert set(versions.EKS_ADDON_VERSIONS) == set(versions.AL2023_KUBELETS) == supported
    names = {frozenset(table) for table in versions.EKS_ADDON_VERSIONS.values()}
    assert len(names) == 1
    for table in versions.EKS_ADDON_VERSIONS.values():
        assert all(re.fullmatch(r"v\d+\.\d+\.\d+-eksbuild\.\d+", version) for version in table.values())


def test_samples_in_documents_name_the_same_images() -> None:
    said = {
        f"docker.io/{image}"
        for page in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
        for image in re.findall(r"^FROM (ollama/\S+)", page.read_text(), re.MULTILINE)
    }
    assert said == {versions.OLLAMA_IMAGE}


def test_github_actions_are_pinned_by_commit() -> None:
    workflows = list((ROOT / ".github" / "workflows").glob("*.yml"))
    assert workflows
    for workflow in workflows:
        jobs = yaml.safe_load(workflow.read_text())["jobs"].values()
        used = [step["uses"] for job in jobs for step in job.get("steps", []) if "uses" in step]
        used += [job["uses"] for job in jobs if "uses" in job]
        assert used
        assert [use for use in used if not re.search(r"@[0-9a-f]{40}$", use) and not use.startswith("./")] == []
