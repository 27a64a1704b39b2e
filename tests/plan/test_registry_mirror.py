"""With a registry mirror nothing that runs or is installed comes from anywhere else, whatever the stack."""

from __future__ import annotations

import functools
import json
import re
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pulumi
import pytest
import yaml
from pulumi.runtime.rpc import UNKNOWN

import versions
from components.mirror import CHARTS, from_mirror
from components.sdk import k8s
from gpu.registries import UPSTREAMS, in_mirror
from plan.project import StackFile, find_project
from plan.record import Recording, record
from policy.analyzer import judge, read_config
from tests.charts import chart_path
from tests.day import TODAY
from tests.gotools import HELM, device_plugin_dir, karpenter_dir, tool
from tests.plan import knative
from tests.plan.conftest import ROOT, STACKS, as_judged, changed_stack
from tests.plan.test_knative_chart import operator_chart
from tests.plan.test_pins import images
from tests.plan.variants import POOL, VARIANTS
from tests.unit.components.recording import record as record_program
from tools import mirror_table

pytestmark = pytest.mark.parts

HARBOR = "harbor.gpu-slices.dev/cache"
ECR = "600000000001.dkr.ecr.us-east-1.amazonaws.com"
RELEASE = "kubernetes:helm.sh/v3:Release"
CONFIG = read_config(ROOT / "policy" / "config.json")
#: Whatever names an image of a public registry, wherever it stands: also in charts' values and in texts.
ELSEWHERE = re.compile(rf"(?<![\w./-])(?:{'|'.join(map(re.escape, [*UPSTREAMS, 'index.docker.io']))})/[\w./-]+")

#: By name: the stacks of the repository, and what none of them has.
CASES: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    **{stack: (stack, {}) for stack in STACKS},
    "everything": ("dev", {"pools": [POOL], **VARIANTS["everything"]}),
    "prometheus": ("dev", {"pools": [POOL], **VARIANTS["prometheus"]}),
    "the operator": ("dev", {"gpuSharing": {"installer": "gpu-operator"}}),
}


@functools.cache
def planned(case: str, mirror: str | None) -> Recording:
    """The recording of a case with that mirror."""
    stack, values = CASES[case]
    project = find_project(ROOT)
    found = dict(changed_stack(values, stack).values)
    if mirror:
        cluster = json.loads(found["gpu-slices:cluster"]) | {"registryMirror": mirror}
        found["gpu-slices:cluster"] = json.dumps(cluster)
    return record(project, StackFile(stack=stack, values=found, secret_keys=(), problems=(), notes=()))


def in_cluster(plan: Recording) -> list[Any]:
    return [each for each in plan.resources if each.type.startswith("kubernetes:")]


def elsewhere(value: Any) -> list[str]:
    """What is of a public registry, in any text."""
    return ELSEWHERE.findall(json.dumps(value, default=str))


def charts(plan: Recording) -> Iterator[tuple[str, str | None]]:
    for release in plan.of_type(RELEASE):
        yield release.inputs["chart"], release.inputs.get("repositoryOpts", {}).get("repo")


@pytest.mark.parametrize("case", CASES)
def test_no_image_and_no_chart_comes_from_anywhere_else(case: str) -> None:
    plan = planned(case, HARBOR)
    assert {each.urn: found for each in in_cluster(plan) if (found := elsewhere(each.inputs))} == {}
    assert all(chart.startswith(f"oci://{HARBOR}/") and repo is None for chart, repo in charts(plan))
    # That the same search finds them where there is no mirror.
    assert sum(bool(elsewhere(each.inputs)) for each in in_cluster(planned(case, None))) >= 3


@pytest.mark.parametrize("case", CASES)
def test_they_are_the_same_images_with_their_tags_and_digests(case: str) -> None:
    before, after = (
        {image for each in in_cluster(planned(case, m)) for image in images(each.inputs)} - {UNKNOWN}
        for m in (None, HARBOR)
    )
    assert before
    moved = {in_mirror(image, HARBOR) for image in before}
    of_knative = {in_mirror(image, HARBOR) for image in versions.KNATIVE_IMAGES.values()}
    # Those that only charts and the operator name are beside them.
    assert moved <= after <= moved | of_knative | {in_mirror(i, HARBOR) for c in CHARTS for i in c.images.values()}


@pytest.mark.parametrize("case", CASES)
def test_nothing_else_changes(case: str) -> None:
    def rest(mirror: str | None) -> dict[str, set[str]]:
        return {each.urn: set(each.inputs) - {"repositoryOpts"} for each in planned(case, mirror).resources}

    before, after = rest(None), rest(HARBOR)
    assert before.keys() == after.keys()
    assert {urn for urn in before if before[urn] != after[urn]} == set()


@pytest.mark.parametrize("mirror", [HARBOR, ECR])
@pytest.mark.parametrize("case", STACKS)
def test_the_pack_still_sees_everything_as_what_it_is(case: str, mirror: str) -> None:
    plan = planned(case, mirror)
    resources = [as_judged(found, plan.preview_inputs(found)) for found in plan.resources]
    verdicts = judge(resources, CONFIG, today=TODAY)
    assert [f"{verdict.rule}: {verdict.resource}: {verdict.message}" for verdict in verdicts] == []


def test_the_pack_still_sees_an_old_ollama() -> None:
    plan = planned("dev", ECR)
    resources = [as_judged(found, plan.preview_inputs(found)) for found in plan.resources]
    old = json.loads(json.dumps([r.inputs for r in resources]).replace(f":{versions.OLLAMA_VERSION}@", ":0.17.0@"))
    bent = [as_judged(found, inputs) for found, inputs in zip(plan.resources, old, strict=True)]
    assert {verdict.rule for verdict in judge(bent, CONFIG, today=TODAY)} == {"ollama-version-pinned"}


def test_nodes_may_make_the_repositories_of_ecr_and_no_others() -> None:
    plan = planned("dev", f"{ECR}/pull")
    (policy,) = [each for each in plan.of_type("aws:iam/policy:Policy") if each.name == "pull-through"]
    (statement,) = json.loads(policy.inputs["policy"])["Statement"]
    assert statement["Action"] == ["ecr:BatchImportUpstreamImage", "ecr:CreateRepository"]
    repositories = "arn:aws:ecr:us-east-1:600000000001:repository/pull"
    assert f"{repositories}/docker-hub/*" in statement["Resource"]
    assert len(statement["Resource"]) == sum(bool(each.ecr) for each in UPSTREAMS.values())
    assert all(each.startswith(f"{repositories}/") for each in statement["Resource"])
    attached = {a.name for a in plan.of_type("aws:iam/rolePolicyAttachment:RolePolicyAttachment")}
    assert {"cluster-system-pull-through", "karpenter-node-pull-through"} <= attached
    assert not [each for each in planned("dev", HARBOR).resources if "pull-through" in each.name]


def test_a_chart_whose_images_nobody_knows_is_refused() -> None:
    def program() -> None:
        opts = pulumi.ResourceOptions(transformations=[from_mirror(HARBOR)])
        k8s.helm.v3.Release("r", chart="somebody-s", opts=opts)

    with pytest.raises(ValueError, match="chart somebody-s: which images it runs is not known"):
        record_program(program)


def test_every_chart_that_is_pinned_is_known() -> None:
    assert [value for value in vars(versions).values() if isinstance(value, versions.Chart)] == list(CHARTS)


def test_the_page_names_them_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert mirror_table.main(["--check"]) == 0
    known = mirror_table.names().keys()
    for case in CASES:
        for each in in_cluster(planned(case, "MIRROR.dev")):
            for name in re.findall(r"(?:oci://)?MIRROR\.dev/[\w./-]+", json.dumps(each.inputs, default=str)):
                of_users = name.endswith(("/cuda",))
                assert of_users or name.replace("MIRROR.dev", "MIRROR") in known, name
    page = tmp_path / "operations.md"
    page.write_text(mirror_table.TARGET.read_text().replace("MIRROR/docker-hub/ollama", "MIRROR/ollama"))
    monkeypatch.setattr(mirror_table, "TARGET", page)
    assert mirror_table.main(["--check"]) == 1
    assert mirror_table.main([]) == 0
    assert mirror_table.main(["--check"]) == 0


# --- As others have it ------------------------------------------------------------------------------------------------


@pytest.mark.go
def test_knative_s_images_are_those_of_the_operator_s_manifests() -> None:
    found = {
        f"{name}/{container['name']}": container["image"]
        for name, each in knative.installed_of("Deployment", "Job").items()
        for container in each["spec"]["template"]["spec"]["containers"]
        if container["name"] != "kourier-gateway"
    }
    sidecar = knative.installed_of("ConfigMap")["config-deployment"]["data"]["queue-sidecar-image"]
    (held,) = [each["spec"]["image"] for each in knative.installed_of("Image").values()]
    assert held == sidecar
    assert dict(versions.KNATIVE_IMAGES) == {**found, "queue-proxy": sidecar}


@pytest.mark.go
def test_the_operator_is_told_of_every_image_and_of_the_sidecar() -> None:
    (serving,) = planned("dev", HARBOR).of_type(knative.SERVING)
    assert knative.problems(knative.serving_schema(), serving.inputs) == []
    spec = serving.inputs["spec"]
    assert spec["config"]["deployment"]["queue-sidecar-image"] == spec["registry"]["override"]["queue-proxy"]
    # It replaces by deployment and container, or by container alone (pkg/reconciler/common/images.go).
    override = spec["registry"]["override"]
    for name, each in knative.installed_of("Deployment", "Job").items():
        for container in each["spec"]["template"]["spec"]["containers"]:
            image = override.get(f"{name}/{container['name']}") or override.get(container["name"])
            assert image, f"{name}/{container['name']}"
            assert image.startswith(f"{HARBOR}/")


@pytest.mark.go
@pytest.mark.parametrize("name", ["karpenter", "plugin-shared", "knative-operator"])
def test_rendered_charts_run_nothing_from_anywhere_else(name: str, tmp_path: Path) -> None:
    folders = {
        "karpenter": lambda: karpenter_dir() / "charts/karpenter",
        "plugin-shared": lambda: device_plugin_dir() / "deployments/helm/nvidia-device-plugin",
        "knative-operator": lambda: operator_chart(tmp_path),
    }
    folder = folders[name]()
    before = pods(folder, name, None)
    assert before
    assert all(elsewhere(image) for image in before)
    assert pods(folder, name, HARBOR) == {in_mirror(image, HARBOR) for image in before}


@pytest.mark.go
@pytest.mark.parametrize(
    ("chart", "name"), [(versions.PROMETHEUS_CHART, "monitoring"), (versions.DCGM_EXPORTER_CHART, "dcgm-exporter")]
)
def test_charts_that_somebody_has_run_nothing_from_anywhere_else(chart: versions.Chart, name: str) -> None:
    before = pods(chart_path(chart), name, None, "prometheus")
    assert {in_mirror(image, HARBOR) for image in before} == pods(chart_path(chart), name, HARBOR, "prometheus")
    assert all(elsewhere(image) for image in before)


def pods(folder: Path, name: str, mirror: str | None, case: str = "dev") -> set[str]:
    """Images of a release's pods."""
    (release,) = [each for each in planned(case, mirror).of_type(RELEASE) if each.inputs["name"] == name]
    command = [str(tool(*HELM)), "template", name, str(folder), "--kube-version", versions.EKS_DEFAULT_VERSION]
    done = subprocess.run(
        [*command, "--namespace", release.inputs["namespace"], "--values", "-"],
        input=json.dumps(release.inputs["values"]),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return {image for each in yaml.safe_load_all(done.stdout) for image in images(each)}
