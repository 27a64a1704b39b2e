"""Device plugins that would run on Bottlerocket's nodes beside their own, and the command that keeps them away."""

from __future__ import annotations

import copy
import json
import shlex
from typing import Any

import pytest

from adopt.objects import Objects
from adopt.plugin_places import on_bottlerocket
from components.gpu.gpu_pool import node_labels
from config.load import parse
from tests.unit.adopt.cluster import REGION, Object, config_map, daemon_set, gpu_operator, plugin
from tests.unit.adopt.test_findings import made_by_an_operator, reported, without
from tests.unit.adopt.test_report import said

NVIDIAS = [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}]


def wants(*terms: dict[str, Any]) -> dict[str, Any]:
    required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": list(terms)}}
    return {"affinity": {"nodeAffinity": required, "podAffinity": {}}}


def one_of(key: str, *values: str) -> dict[str, Any]:
    return {"matchExpressions": [{"key": key, "operator": "In", "values": list(values)}]}


#: As NVIDIA's chart has it (k8s-device-plugin deployments/helm/nvidia-device-plugin/values.yaml).
OF_THE_CHART = wants(
    one_of("feature.node.kubernetes.io/pci-10de.present", "true"),
    one_of("feature.node.kubernetes.io/cpu-model.vendor_id", "NVIDIA"),
    one_of("nvidia.com/gpu.present", "true"),
)
BY_MAKER = wants(one_of("karpenter.k8s.aws/instance-gpu-manufacturer", "nvidia"))


def discovery(*tolerations: Object) -> Object:
    found = daemon_set("nfd-worker", "node-feature-discovery")
    found["spec"]["template"]["spec"]["tolerations"] = list(tolerations)
    return found


@pytest.mark.parametrize(
    ("objects", "meets"),
    [
        ([plugin()], True),
        ([plugin(tolerations=NVIDIAS)], True),
        ([plugin(**BY_MAKER)], True),
        ([plugin(nodeSelector={"kubernetes.io/os": "linux"})], True),
        ([plugin(**OF_THE_CHART), discovery(*NVIDIAS)], True),
        ([plugin(nodeSelector={"nvidia.com/gpu.present": "true"}), discovery(*NVIDIAS), gpu_operator()], True),
        ([plugin(**OF_THE_CHART)], False),
        ([plugin(**OF_THE_CHART), discovery()], False),
        ([plugin(nodeSelector={"nvidia.com/gpu.present": "true"})], False),
        ([plugin(tolerations=[])], False),
        ([made_by_an_operator(plugin())], False),
        ([gpu_operator()], False),
    ],
)
def test_who_meets_the_plugin_of_bottlerocket(objects: list[Object], meets: bool) -> None:
    found = reported(*without("DaemonSet"), *objects)
    assert found.written.values["pools"][0]["ami"] == "bottlerocket"
    told = said(found, "missing")
    assert ("would run on Bottlerocket's nodes too, beside their own plugin" in told) is meets
    assert ("kubectl patch daemonset nvidia-device-plugin --namespace kube-system" in told) is meets
    assert ("whose nodes are left out" in said(found, "note")) is not meets
    assert ("Bottlerocket's bring their own: keep it away" in found.written.text) is meets


def test_labels_of_a_bottlerocket_pool_are_those_that_it_has() -> None:
    found = reported(*without("DaemonSet"), plugin())
    config = parse(found.written.values, stack="mine", region=REGION)
    known = on_bottlerocket(Objects())
    for key, value in node_labels(config.gpu_pools["shared"], config.pools[0].tenants).items():
        label = known(key)
        assert label is not None, key
        assert not label or value in label, key


#: A term that says nothing selects nothing.
TERMS = [{}, one_of("kubernetes.io/arch", "amd64"), {"matchFields": [{"key": "metadata.name", "operator": "Exists"}]}]


@pytest.mark.parametrize("own", [{}, {"affinity": {"podAffinity": {}}}, BY_MAKER, wants(*TERMS)])
def test_the_line_keeps_it_away_and_leaves_the_rest_as_it_was(own: dict[str, Any]) -> None:
    theirs = plugin("configs", "whole", reads=False, **copy.deepcopy(own))
    found = reported(*without("DaemonSet"), theirs, config_map("configs"))
    (line,) = [each.line for each in found.findings if each.line.startswith("kubectl patch daemonset")]
    words = shlex.split(line)
    patch = json.loads(words[-1])
    before = copy.deepcopy(theirs)
    (_merge if words[words.index("--type") + 1] == "merge" else _patch)(theirs, patch)
    again = reported(*without("DaemonSet"), theirs, config_map("configs"))
    assert "nvidia-device-plugin: stays on nodes of its own" in said(again, "fits")
    assert "ami" not in again.written.values["pools"][0]
    terms = theirs["spec"]["template"]["spec"]["affinity"]["nodeAffinity"][
        "requiredDuringSchedulingIgnoredDuringExecution"
    ]["nodeSelectorTerms"]
    away = {"key": "gpu-slices/pool", "operator": "DoesNotExist"}
    for term in terms:
        assert not term or term["matchExpressions"].pop() == away
    if "nodeAffinity" in own.get("affinity", {}):
        for term in terms:
            if not term.get("matchExpressions", True):
                del term["matchExpressions"]
        assert theirs == before


def test_of_a_template_no_line_is_known() -> None:
    theirs = plugin(priorityClassName="{{ .Values.priority }}")
    found = reported(*without("DaemonSet"), theirs)
    assert "would run on Bottlerocket's nodes too" in said(found, "missing")
    assert "kubectl patch daemonset" not in said(found, "missing")


def _merge(value: dict[str, Any], patch: dict[str, Any]) -> None:
    """RFC 7386."""
    for key, new in patch.items():
        if isinstance(new, dict) and isinstance(value.get(key), dict):
            _merge(value[key], new)
        else:
            value[key] = new


def _patch(value: dict[str, Any], patch: list[dict[str, Any]]) -> None:
    """RFC 6902, of its operations `add` alone."""
    for each in patch:
        assert each["op"] == "add"
        *path, last = each["path"].split("/")[1:]
        here: Any = value
        for key in path:
            here = here[int(key) if isinstance(here, list) else key]
        if isinstance(here, list):
            assert last == "-"
            here.append(each["value"])
        else:
            here[last] = each["value"]
