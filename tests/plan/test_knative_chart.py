"""The chart of Knative's operator, rendered by Helm with our values, comes out as the settings we mean.

The chart lies in the operator's sources with two placeholders that its release fills.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

import versions
from components.cluster.system_nodes import SYSTEM_NODE_LABEL, SYSTEM_NODE_TOLERATION
from components.serving.knative_config import OPERATOR_NAMESPACE, operator_values
from policy.pod_security import LEVELS
from tests.gotools import HELM, knative_operator_dir, tool

pytestmark = pytest.mark.go

Objects = dict[tuple[str, str], dict[str, Any]]


@pytest.fixture(scope="module")
def chart(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return operator_chart(tmp_path_factory.mktemp("chart"))


def operator_chart(folder: Path) -> Path:
    """The operator's chart as its release has it."""
    copied = folder / "knative-operator"
    shutil.copytree(knative_operator_dir() / "config/charts/knative-operator", copied, copy_function=shutil.copyfile)
    version = versions.KNATIVE_OPERATOR_CHART.version
    for path in (copied / "Chart.yaml", copied / "values.yaml"):
        path.write_text(path.read_text().replace("{{ tag }}", version).replace("{{ version }}", version))
    return copied


@pytest.fixture(scope="module")
def objects(chart: Path) -> Objects:
    command = [str(tool(*HELM)), "template", "knative-operator", str(chart), "--namespace", OPERATOR_NAMESPACE]
    settings = ["--kube-version", versions.EKS_DEFAULT_VERSION, "--values", "-"]
    done = subprocess.run(
        [*command, *settings],
        input=json.dumps(operator_values(SYSTEM_NODE_LABEL)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return {(each["kind"], each["metadata"]["name"]): each for each in yaml.safe_load_all(done.stdout) if each}


@pytest.mark.parametrize("name", ["knative-operator", "operator-webhook"])
def test_both_pods_run_on_system_nodes_and_are_restricted(name: str, objects: Objects) -> None:
    pod = objects["Deployment", name]["spec"]["template"]["spec"]
    (term,) = pod["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    assert {e["key"]: e["values"] for e in term["matchExpressions"]} == {k: [v] for k, v in SYSTEM_NODE_LABEL.items()}
    assert pod["tolerations"] == [SYSTEM_NODE_TOLERATION]
    assert [problem for level in LEVELS["restricted"] for problem in level(pod)] == []
    (container,) = pod["containers"]
    assert container["resources"]["requests"]["cpu"] == "50m"
    assert container["image"].endswith(f":{versions.KNATIVE_OPERATOR_CHART.version}")


def test_nothing_else_runs(objects: Objects) -> None:
    workloads = {key for key in objects if key[0] in {"Deployment", "DaemonSet", "StatefulSet", "Job"}}
    assert workloads == {("Deployment", "knative-operator"), ("Deployment", "operator-webhook")}


def test_it_brings_the_definition_of_what_we_make(objects: Objects) -> None:
    definition = objects["CustomResourceDefinition", "knativeservings.operator.knative.dev"]
    group, _, version = versions.KNATIVE_OPERATOR_API.partition("/")
    assert definition["spec"]["group"] == group
    assert version in [each["name"] for each in definition["spec"]["versions"] if each["served"]]


def test_every_value_is_one_of_the_charts(chart: Path) -> None:
    known = yaml.safe_load((chart / "values.yaml").read_text())["knative_operator"]
    templates = (chart / "templates" / "operator.yaml").read_text()
    for part, values in operator_values(SYSTEM_NODE_LABEL)["knative_operator"].items():
        unknown = [key for key in values if key not in known[part]]
        # The chart reads it, and has no default for it.
        assert unknown == ["securityContext"]
        assert f".Values.knative_operator.{part}.securityContext" in templates
