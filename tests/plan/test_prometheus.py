"""`monitoring.backend: prometheus`: rules, monitors, dashboard and charts, judged by what those have who read them."""

from __future__ import annotations

import base64
import functools
import json
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

import versions
from components.monitoring.grafana import dashboard
from components.monitoring.prometheus_chart import (
    GRAFANA,
    GRAFANA_PORT,
    Topic,
    alertmanager_config,
    dcgm_values,
    stack_values,
)
from components.monitoring.rules import USD, WatchedStack, alerting_rules, recording_rules, rule_spec
from components.monitoring.scrapes import monitors
from components.serving.knative_config import METRICS_PORT
from gpu.system_pods import PROMETHEUS_PODS
from tests.charts import render, show
from tests.gotools import AMTOOL, PROMETHEUS_OPERATOR_MODULE, built, module_dir, tool
from tests.plan import knative
from tests.plan.prometheus_metrics import METRICS, names_in
from tests.plan.test_crds import strict

pytestmark = [pytest.mark.go, pytest.mark.parts]

WATCHED = WatchedStack(
    gpu_pools=["shared", "cut", "claimed"], claimed=["claimed"], serving=True, dialogue=True, usd_per_hour=0.55
)
TOPIC = Topic(arn="arn:aws:sns:us-east-1:600000000001:c-alerts", region="us-east-1")
PROMTOOL = Path(__file__).parent / "promtool"


def promtool(*arguments: str, cwd: Path) -> str:
    """What Prometheus' own tool says; fails where it finds a fault."""
    command = built(PROMTOOL, "promtool", "github.com/prometheus/prometheus/cmd/promtool", "remove_all_sd")
    done = subprocess.run([str(command), *arguments], cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def amtool(*arguments: str, cwd: Path) -> str:
    """What Alertmanager's own tool says, of the release whose image is pinned; fails where it finds a fault."""
    _, _, tag = versions.PROMETHEUS_IMAGES["alertmanager.alertmanagerSpec.image"].partition("@")[0].rpartition(":")
    command = [str(tool(AMTOOL, tag)), *arguments]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def panel_expressions() -> list[str]:
    return [target["expr"] for panel in dashboard(WATCHED, "c")["panels"] for target in panel["targets"]]


# --- Rules and dashboard, by Prometheus' own parser -------------------------------------------------------------------


def test_prometheus_takes_the_rules_and_what_the_dashboard_asks(tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump(rule_spec(WATCHED)))
    rules = len([*recording_rules(WATCHED), *alerting_rules(WATCHED)])
    assert f"SUCCESS: {rules} rules found" in promtool("check", "rules", "rules.yaml", cwd=tmp_path)
    asked = [{"record": f"panel:{number}", "expr": each} for number, each in enumerate(panel_expressions())]
    (tmp_path / "panels.yaml").write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": asked}]}))
    assert f"SUCCESS: {len(asked)} rules found" in promtool("check", "rules", "panels.yaml", cwd=tmp_path)


Series = Mapping[str, str]
SLOT = 'namespace="models",pod="a",node="n",resource="nvidia_com_gpu_shared"'
HELD: Series = {
    f"kube_pod_container_resource_requests{{{SLOT}}}": "1x200",
    'kube_pod_status_phase{namespace="models",pod="a",phase="Running"}': "1x200",
}
IDLE = 'DCGM_FI_DEV_GPU_UTIL{node="n",gpu="0"}'
INSTANCE = 'DCGM_FI_PROF_GR_ENGINE_ACTIVE{node="n",gpu="0",GPU_I_ID="7"}'
USED, FREE = 'DCGM_FI_DEV_FB_USED{node="n",gpu="0"}', 'DCGM_FI_DEV_FB_FREE{node="n",gpu="0"}'
LABELS = 'kube_node_labels{node="n",label_gpu_slices_pool="shared"}'
CLAIMED = LABELS.replace("shared", "claimed")
INITIALIZED = CLAIMED.replace("}", ',label_karpenter_sh_initialized="true"}')
#: A pod with a claim asks for nothing that its requests show.
CLAIMS: Series = {
    'kube_pod_info{namespace="models",pod="a",node="n",created_by_kind="ReplicaSet"}': "1x200",
    'kube_pod_status_phase{namespace="models",pod="a",phase="Running"}': "1x200",
}
DAEMON: Series = {name.replace("ReplicaSet", "DaemonSet"): values for name, values in CLAIMS.items()}
OFFERS = 'kube_node_status_allocatable{node="n",resource="nvidia_com_gpu_shared"}'
KARPENTER_UP = 'up{job="karpenter",namespace="kube-system"}'
WARNED = 'karpenter_interruption_received_messages_total{message_type="spot_interrupted",pod="k"}'
FAILED = 'controller_runtime_reconcile_errors_total{job="karpenter",controller="c"}'
REFUSED = 'http_server_request_duration_seconds_count{job="activator-service",http_response_status_code="503"}'
TYPE = 'instance_type="g6.xlarge",capacity_type="spot",zone="us-east-1a"'
PRICE = f"karpenter_cloudprovider_instance_type_offering_price_estimate{{{TYPE}}}"
NODES: Series = {
    f'karpenter_nodes_allocatable{{nodepool="shared",resource_type="cpu",node_name="{node}",{TYPE}}}': "4x1500"
    for node in ("n", "m")
}

#: By what they show: alarm, series, minute, and how many ring.
CASES: Mapping[str, tuple[str, Series, int, int]] = {
    "idle with a pod": ("GpuIdle", {IDLE: "0x200", **HELD}, 61, 1),
    "idle, but not for long": ("GpuIdle", {IDLE: "0x200", **HELD}, 59, 0),
    "idle without a pod": ("GpuIdle", {IDLE: "0x200"}, 70, 0),
    "idle, and its pod is gone": (
        "GpuIdle",
        {IDLE: "0x200", **{name: value for name, value in HELD.items() if "Running" not in name}},
        70,
        0,
    ),
    "idle with a claim": ("GpuIdle", {IDLE: "0x200", INITIALIZED: "1x200", **CLAIMS}, 61, 1),
    "idle with a claim of which its pod is gone": (
        "GpuIdle",
        {IDLE: "0x200", INITIALIZED: "1x200", **{name: "0x200" if "Running" in name else "1x200" for name in CLAIMS}},
        70,
        0,
    ),
    "idle with DaemonSets alone": ("GpuIdle", {IDLE: "0x200", INITIALIZED: "1x200", **DAEMON}, 70, 0),
    "idle beside a pod that wants no slot": ("GpuIdle", {IDLE: "0x200", LABELS: "1x200", **CLAIMS}, 70, 0),
    "worked for a minute half an hour ago": ("GpuIdle", {IDLE: "0x40 60 0x160", **HELD}, 70, 0),
    "a MIG GPU of which an instance works": ("GpuIdle", {IDLE: "0x200", INSTANCE: "0.4x200", **HELD}, 70, 0),
    "a MIG GPU of which none works": ("GpuIdle", {INSTANCE: "0x200", **HELD}, 70, 1),
    "memory full": ("GpuMemoryFull", {USED: "95x30", FREE: "5x30"}, 11, 1),
    "memory nearly full": ("GpuMemoryFull", {USED: "94x30", FREE: "6x30"}, 20, 0),
    "a node that has no slots": ("GpuNodeWithoutSlots", {LABELS: "1x30", OFFERS: "0x30"}, 16, 1),
    "a node whose plugin never spoke": ("GpuNodeWithoutSlots", {LABELS: "1x30"}, 16, 1),
    "a node that joins": ("GpuNodeWithoutSlots", {LABELS: "1x30", OFFERS: "0x5 4x25"}, 20, 0),
    "a node with devices to claim": ("GpuNodeWithoutSlots", {INITIALIZED: "1x60"}, 50, 0),
    "a node whose DRA driver never spoke": ("GpuNodeWithoutSlots", {CLAIMED: "1x30"}, 16, 1),
    "a node whose DRA driver speaks late": (
        "GpuNodeWithoutSlots",
        {CLAIMED: "1x10 _x30", INITIALIZED: "_x11 1x30"},
        30,
        0,
    ),
    "a node of a CPU pool": ("GpuNodeWithoutSlots", {LABELS.replace("shared", "x86"): "1x30"}, 20, 0),
    "a pod waits": ("PodsWaiting", {'kube_pod_status_phase{namespace="m",pod="a",phase="Pending"}': "1x60"}, 31, 1),
    "a pod waited": (
        "PodsWaiting",
        {'kube_pod_status_phase{namespace="m",pod="a",phase="Pending"}': "1x25 0x60"},
        31,
        0,
    ),
    "three Spot warnings, the first that there are": (
        "SpotInterruptions",
        {KARPENTER_UP: "1x60", WARNED: "_x20 3x40"},
        22,
        1,
    ),
    "three Spot warnings some time ago": ("SpotInterruptions", {KARPENTER_UP: "1x60", WARNED: "_x20 3x40"}, 40, 0),
    "two Spot warnings": ("SpotInterruptions", {KARPENTER_UP: "1x60", WARNED: "_x20 2x40"}, 22, 0),
    "Prometheus begins and finds old Spot warnings": (
        "SpotInterruptions",
        {KARPENTER_UP: "1x60", WARNED: "50x60"},
        3,
        0,
    ),
    "Karpenter fails": ("KarpenterErrors", {FAILED: "0+3x60"}, 25, 1),
    "Karpenter tries again now and then": ("KarpenterErrors", {FAILED: "0+1x60"}, 40, 0),
    "Knative refuses": ("KnativeErrors", {REFUSED: "0+3x60"}, 25, 1),
    "Knative refuses now and then": ("KnativeErrors", {REFUSED: "0+1x60"}, 40, 0),
    # Two nodes at 0.40: 0.80 USD an hour.
    "a dear day": ("GpuUsdPerHour", {**NODES, PRICE: "0.4x1500"}, 1440, 1),
    "a dear first hour": ("GpuUsdPerHour", {**NODES, PRICE: "0.4x1500"}, 60, 0),
    "a cheap day": ("GpuUsdPerHour", {**NODES, PRICE: "0.2x1500"}, 1440, 0),
    "nobody answers": ("FiguresMissing", {KARPENTER_UP: "0x60"}, 16, 1),
    "one of two answers": (
        "FiguresMissing",
        {KARPENTER_UP: "0x60", KARPENTER_UP.replace("}", ',pod="b"}'): "1x60"},
        30,
        0,
    ),
}


def test_when_alarms_ring(tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump(rule_spec(WATCHED)))
    tests = [
        {
            "name": name,
            "interval": "1m",
            "input_series": [{"series": each, "values": values} for each, values in series.items()],
            "promql_expr_test": [
                {
                    "expr": f'count(ALERTS{{alertname="{alarm}", alertstate="firing"}})',
                    "eval_time": f"{minute}m",
                    "exp_samples": [{"labels": "{}", "value": rings}] if rings else [],
                }
            ],
        }
        for name, (alarm, series, minute, rings) in CASES.items()
    ]
    cost = {
        "name": "two nodes at 0.40, and one whose price nobody knows",
        "interval": "1m",
        "input_series": [
            *({"series": each, "values": values} for each, values in {**NODES, PRICE: "0.4x1500"}.items()),
            {"series": next(iter(NODES)).replace("g6.xlarge", "g9.xlarge").replace('"n"', '"o"'), "values": "4x1500"},
        ],
        "promql_expr_test": [{"expr": USD, "eval_time": "10m", "exp_samples": [{"labels": USD, "value": 0.8}]}],
    }
    said = {
        "name": "what is said",
        "interval": "1m",
        "input_series": [{"series": each, "values": values} for each, values in {USED: "95x30", FREE: "5x30"}.items()],
        "alert_rule_test": [
            {
                "eval_time": "11m",
                "alertname": "GpuMemoryFull",
                "exp_alerts": [
                    {
                        "exp_labels": {"severity": "warning", "node": "n", "gpu": "0"},
                        "exp_annotations": {
                            "summary": "Memory of GPU 0 of n is 95 % full",
                            "description": (
                                "The next allocation of a slot fails. Time-slicing limits nobody; take fewer replicas, "
                                "shorter contexts or smaller models."
                            ),
                        },
                    }
                ],
            }
        ],
    }
    file = {"rule_files": ["rules.yaml"], "evaluation_interval": "1m", "tests": [*tests, cost, said]}
    (tmp_path / "tests.yaml").write_text(yaml.safe_dump(file))
    promtool("test", "rules", "tests.yaml", cwd=tmp_path)


def test_every_alarm_is_seen_to_ring_and_to_rest() -> None:
    assert {alarm for alarm, _, _, rings in CASES.values() if rings} == {each.name for each in alerting_rules(WATCHED)}
    assert {alarm for alarm, _, _, rings in CASES.values() if not rings} == {
        each.name for each in alerting_rules(WATCHED)
    }


def test_without_models_and_budget_nothing_is_asked_of_them() -> None:
    bare = WatchedStack(gpu_pools=["shared"])
    assert {each.name for each in alerting_rules(WATCHED)} - {each.name for each in alerting_rules(bare)} == {
        "GpuUsdPerHour",
        "KnativeErrors",
    }
    assert [each.name for each in monitors(bare)] == ["dcgm-exporter", "karpenter"]


@pytest.mark.parametrize("claimed", [(), ("a",), ("a", "b")])
def test_rules_and_dashboard_of_pools_of_one_kind_are_rules(tmp_path: Path, claimed: Sequence[str]) -> None:
    watched = WatchedStack(gpu_pools=["a", "b"], claimed=claimed)
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump(rule_spec(watched)))
    promtool("check", "rules", "rules.yaml", cwd=tmp_path)
    expressions = " ".join(each.expression for each in alerting_rules(watched))
    assert ("kube_node_status_allocatable" in expressions) == (len(claimed) < 2)
    assert ("label_karpenter_sh_initialized" in expressions) == bool(claimed)
    assert ("Slots" in [panel["title"] for panel in dashboard(watched, "c")["panels"]]) == (len(claimed) < 2)


# --- Names of metrics -------------------------------------------------------------------------------------------------


def test_every_metric_that_is_read_has_a_source() -> None:
    expressions = [*(e.expression for e in recording_rules(WATCHED)), *(e.expression for e in alerting_rules(WATCHED))]
    expressions += panel_expressions()
    own = {each.name for each in recording_rules(WATCHED)}
    assert set().union(*map(names_in, expressions)) - own == METRICS.keys()


@pytest.mark.parametrize("metric", [name for name, source in METRICS.items() if source.text])
def test_the_source_has_the_metric(metric: str) -> None:
    source = METRICS[metric]
    assert source.text
    text = source.text()
    assert [word for word in source.words if word not in text] == [], source.where


def test_names_are_found_in_an_expression() -> None:
    text = 'sum by (a) (rate(b_total{c="d"}[5m])) / on (e) group_left () (f offset 5m) or vector(0) unless g:h:i'
    assert names_in(text) == {"b_total", "f", "g:h:i"}


def test_knative_s_services_have_the_port_that_is_asked() -> None:
    services = knative.installed_of("Service")
    ports = {name: {port["name"]: port["port"] for port in each["spec"]["ports"]} for name, each in services.items()}
    assert ports["activator-service"]["http-metrics"] == METRICS_PORT


# --- Objects of the operator ------------------------------------------------------------------------------------------


@functools.cache
def definition(kind: str) -> dict[str, Any]:
    """Strict schema of a kind, of the operator whose image is pinned."""
    _, _, tag = versions.PROMETHEUS_IMAGES["prometheusOperator.image"].partition("@")[0].rpartition(":")
    folder = module_dir(PROMETHEUS_OPERATOR_MODULE, tag) / "example/prometheus-operator-crd"
    found = yaml.safe_load((folder / f"monitoring.coreos.com_{kind.lower()}s.yaml").read_text())
    schema: dict[str, Any] = strict(found["spec"]["versions"][0]["schema"]["openAPIV3Schema"])
    return schema


@pytest.mark.parametrize("watched", [WATCHED, WatchedStack(gpu_pools=["shared"])], ids=["all", "bare"])
def test_the_operator_takes_monitors_and_rules(watched: WatchedStack) -> None:
    objects = [(each.kind, each.spec) for each in monitors(watched)] + [("PrometheusRule", rule_spec(watched))]
    for kind, spec in objects:
        found = {"apiVersion": versions.PROMETHEUS_API, "kind": kind, "metadata": {"name": "a"}, "spec": spec}
        errors = jsonschema.Draft202012Validator(definition(kind)).iter_errors(found)
        assert [f"{error.json_path}: {error.message}" for error in errors] == [], kind


def test_alertmanager_takes_its_configuration(tmp_path: Path) -> None:
    (tmp_path / "alertmanager.yaml").write_text(yaml.safe_dump(alertmanager_config("c", TOPIC)))
    assert "2 receivers" in amtool("check-config", "alertmanager.yaml", cwd=tmp_path)


# --- The dashboard ----------------------------------------------------------------------------------------------------


def lost(given: Any, kept: Any, path: str = "$") -> list[str]:
    """What of a document another does not have."""
    if isinstance(given, dict):
        return [
            found
            for key, value in given.items()
            for found in (lost(value, kept[key], f"{path}.{key}") if key in (kept or {}) else [f"{path}.{key}"])
        ]
    if isinstance(given, list):
        pairs = enumerate(zip(given, kept, strict=True))
        return [found for index, (one, other) in pairs for found in lost(one, other, f"{path}[{index}]")]
    return [] if given == kept else [path]


@pytest.mark.parametrize("watched", [WATCHED, WatchedStack(gpu_pools=["shared"])], ids=["all", "bare"])
def test_grafana_s_schema_has_all_of_the_dashboard(watched: WatchedStack) -> None:
    made = dashboard(watched, "c")
    kept = json.loads(JSONEncoder().encode(Dashboard.from_json(made)))
    assert lost(made, kept) == []


def test_the_schema_would_lose_what_it_does_not_know() -> None:
    made = {**dashboard(WATCHED, "c"), "refreshes": "1m"}
    assert lost(made, json.loads(JSONEncoder().encode(Dashboard.from_json(made)))) == ["$.refreshes"]


def test_panels_have_room_and_names_of_their_own() -> None:
    panels = dashboard(WATCHED, "c")["panels"]
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels]
    assert (
        len(set(places)) == len({panel["title"] for panel in panels}) == len({p["id"] for p in panels}) == len(panels)
    )
    assert all(panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24 for panel in panels)


# --- The charts, where somebody has them ------------------------------------------------------------------------------

STACK_VALUES = stack_values("c", TOPIC, "gp3-encrypted", 20)
Objects = Mapping[tuple[str, str], Mapping[str, Any]]


def by_name(objects: Sequence[Mapping[str, Any]]) -> Objects:
    return {(each["kind"], each["metadata"]["name"]): each for each in objects}


@pytest.fixture(scope="module")
def stack() -> Objects:
    return by_name(render(versions.PROMETHEUS_CHART, "monitoring", "monitoring", json.dumps(STACK_VALUES)))


def pod_specs(objects: Objects) -> dict[str, dict[str, Any]]:
    return {
        name: each["spec"]["template"]["spec"]
        for (kind, name), each in objects.items()
        if kind in ("Deployment", "DaemonSet")
    }


def test_the_chart_is_the_pinned_one() -> None:
    for chart in (versions.PROMETHEUS_CHART, versions.DCGM_EXPORTER_CHART, versions.PROMETHEUS_CRD_CHART):
        assert show(chart, "chart")["version"] == chart.version


def test_the_chart_runs_the_pinned_images_and_no_others(stack: Objects) -> None:
    specs = pod_specs(stack)
    run = {container["image"] for spec in specs.values() for container in spec["containers"]}
    run |= {stack[kind, f"monitoring-{kind.lower()}"]["spec"]["image"] for kind in ("Prometheus", "Alertmanager")}
    assert [spec for spec in specs.values() if spec.get("initContainers")] == []
    (operator,) = specs["monitoring-operator"]["containers"]
    (reloader,) = (each for each in operator["args"] if each.startswith("--prometheus-config-reloader="))
    assert run | {reloader.partition("=")[2]} == set(versions.PROMETHEUS_IMAGES.values())


def test_everything_runs_on_system_nodes_as_restricted_pods(stack: Objects) -> None:
    specs = [
        *pod_specs(stack).values(),
        *(stack[k, f"monitoring-{k.lower()}"]["spec"] for k in ("Prometheus", "Alertmanager")),
    ]
    assert len(specs) == 5
    for spec in specs:
        assert spec["nodeSelector"] == {"karpenter.sh/controller": "true"}
        assert spec["tolerations"] == [{"key": "CriticalAddonsOnly", "operator": "Exists"}]
        assert spec["securityContext"]["runAsNonRoot"] is True
        for container in spec.get("containers", ()):
            assert container["securityContext"]["allowPrivilegeEscalation"] is False
            assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}


def test_alertmanager_takes_what_the_chart_makes_of_its_configuration(stack: Objects, tmp_path: Path) -> None:
    text = base64.b64decode(stack["Secret", "alertmanager-monitoring-alertmanager"]["data"]["alertmanager.yaml"])
    (tmp_path / "alertmanager.yaml").write_bytes(text)
    assert "2 receivers" in amtool("check-config", "alertmanager.yaml", cwd=tmp_path)
    route = amtool("config", "routes", "test", "--config.file=alertmanager.yaml", "alertname=GpuIdle", cwd=tmp_path)
    assert route.strip() == "topic"


def test_nothing_is_reached_from_outside_and_nothing_asks_what_it_needs_not(stack: Objects) -> None:
    kinds = {kind for kind, _ in stack}
    assert (
        kinds & {"Ingress", "ValidatingWebhookConfiguration", "MutatingWebhookConfiguration", "DaemonSet", "Job"}
        == set()
    )
    assert {each["spec"]["type"] for (kind, _), each in stack.items() if kind == "Service"} == {"ClusterIP"}
    assert ("PrometheusRule", "gpu-slices") not in stack
    rules = stack["ClusterRole", "monitoring-kube-state-metrics"]["rules"]
    assert {resource for rule in rules for resource in rule["resources"]} == {"nodes", "pods"}


def test_the_way_in_is_there(stack: Objects) -> None:
    assert GRAFANA_PORT in {port["port"] for port in stack["Service", GRAFANA]["spec"]["ports"]}
    assert {"admin-user", "admin-password"} <= stack["Secret", GRAFANA]["data"].keys()
    source = yaml.safe_load(stack["ConfigMap", GRAFANA]["data"]["datasources.yaml"])["datasources"][0]["url"]
    assert source == "http://monitoring-prometheus.monitoring:9090"
    assert ("Service", "monitoring-prometheus") in stack


def test_requests_are_those_that_the_system_nodes_are_reckoned_with(stack: Objects) -> None:
    given = {c["name"]: c["resources"]["requests"] for spec in pod_specs(stack).values() for c in spec["containers"]}
    given |= {
        k.lower(): stack[k, f"monitoring-{k.lower()}"]["spec"]["resources"]["requests"]
        for k in ("Prometheus", "Alertmanager")
    }
    wanted = {
        pod.container: {"cpu": f"{pod.cpu_millis}m", "memory": f"{pod.memory_mib}Mi"}
        for pod in PROMETHEUS_PODS
        if pod.container != "config-reloader"
    }
    assert given == wanted


def test_the_charts_know_every_value_that_is_set() -> None:
    """Helm ignores what it does not know."""
    for chart, values in ((versions.PROMETHEUS_CHART, STACK_VALUES), (versions.DCGM_EXPORTER_CHART, dcgm_values())):
        assert unknown(values, show(chart, "values")) == []


#: What charts below the chart, or the objects that it makes, know.
OPEN = {
    "config",
    "emptyDir",
    "volumeClaimTemplate",
    "nodeSelector",
    "resources",
    "affinity",
    "kube-state-metrics",
    "grafana",
}


def unknown(values: Mapping[str, Any], defaults: Mapping[str, Any], path: str = "") -> list[str]:
    found = []
    for key, value in values.items():
        if key not in defaults:
            found.append(f"{path}{key}")
        elif isinstance(value, Mapping) and key not in OPEN and isinstance(defaults[key], Mapping) and defaults[key]:
            found += unknown(value, defaults[key], f"{path}{key}.")
    return found


def test_the_exporter_runs_on_every_node_with_an_nvidia_gpu() -> None:
    objects = by_name(render(versions.DCGM_EXPORTER_CHART, "dcgm-exporter", "gpu-system", json.dumps(dcgm_values())))
    spec = pod_specs(objects)["dcgm-exporter"]
    (container,) = spec["containers"]
    assert container["image"] == versions.DCGM_EXPORTER_IMAGE
    assert spec["tolerations"] == [{"operator": "Exists"}]
    mounts = {mount["mountPath"] for mount in container["volumeMounts"]}
    assert mounts >= {"/var/run/nvidia-container-devices/all", "/etc/dcgm-exporter/default-counters.csv"}
    counters = objects["ConfigMap", "exporter-metrics-config-map"]["data"]["metrics"]
    given = {line.split(",")[0].strip() for line in counters.splitlines() if line and not line.startswith("#")}
    assert {name for name in METRICS if name.startswith("DCGM")} <= given
    labels = objects["DaemonSet", "dcgm-exporter"]["spec"]["template"]["metadata"]["labels"]
    (monitor,) = (each for each in monitors(WATCHED) if each.name == "dcgm-exporter")
    assert monitor.spec["selector"]["matchLabels"].items() <= labels.items()
    assert monitor.spec["podMetricsEndpoints"][0]["port"] in {port["name"] for port in container["ports"]}
