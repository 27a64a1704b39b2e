"""GpuMonitoring: metrics that exist, alarms and a dashboard that CloudWatch takes, logs that end."""

from __future__ import annotations

import dataclasses
import json
import operator
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import boto3
import botocore.session
import pytest
from botocore.validate import ParamValidator
from moto import mock_aws

import versions
from components.cluster.addon import AddonsArgs
from components.karpenter.interruption import EVENTS, rule_name
from components.monitoring.alarms import (
    DAY,
    ERRORS,
    IDLE_PERCENT,
    KARPENTER,
    KNATIVE,
    PERIOD,
    Alarm,
    Watched,
    alarms,
    usd_expression,
)
from components.monitoring.dashboard import dashboard
from components.monitoring.gpu_monitoring import ADDON, GpuMonitoring, GpuMonitoringArgs, addon_configuration
from gpu.host_share import RESERVED_CPU_MILLIS, RESERVED_MEMORY_MIB
from gpu.standing import MONITORING_ALARMS, MONITORING_COUNTERS
from gpu.system_pods import MONITORING_PODS
from stacks.watching import watched
from tests.unit.components.recording import Recording, record
from tests.unit.config.support import changed, parsed

ACCOUNT = "123456789012"
WATCHED = Watched(
    cluster_name="c",
    spot_rule="c-spot",
    controllers=[KARPENTER, KNATIVE],
    usd_per_gpu_hour=0.4,
    usd_per_hour=0.55,
)
ALARMS = {alarm.name: alarm for alarm in alarms(WATCHED)}

#: Metrics that the agent sends with `ClusterName` alone, and by node with these dimensions (amazon-cloudwatch-agent,
#: translator/translate/otel/exporter/awsemf/kubernetes.go, getPodMetricDeclarations and getGPUMetricDeclarations; read
#: on 2026-11-29).
OF_THE_CLUSTER = {"pod_status_pending", "node_gpu_utilization", "node_gpu_memory_utilization"}
OF_A_NODE = {"node_gpu_utilization", "node_gpu_memory_utilization"}
NODE_DIMENSIONS = "ClusterName, InstanceId, NodeName"
#: EventBridge user guide, "Monitoring Amazon EventBridge": the rule's metric, whose dimension is RuleName.
OF_A_RULE = {"TriggeredRules"}

_SELECT = re.compile(
    r'SELECT MAX\((\w+)\) FROM SCHEMA\("ContainerInsights", ([\w, ]+)\) WHERE ClusterName = \'c\' GROUP BY InstanceId'
    r" ORDER BY MAX\(\) (ASC|DESC)"
)
#: Which series an alarm must see first: those nearest to its ringing.
_FIRST = {"LessThanThreshold": "ASC", "GreaterThanOrEqualToThreshold": "DESC"}


def monitored() -> Recording[GpuMonitoring]:
    """The recorded component."""
    arguments = GpuMonitoringArgs(
        addons=AddonsArgs(cluster_name="c", kubernetes_version="1.36", account_id=ACCOUNT),
        watched=WATCHED,
        region="us-east-1",
        key_arn="key",
        topic_arn="topic",
        log_retention_days=365,
        tags={"team": "ml"},
    )
    return record(lambda: GpuMonitoring("monitoring", arguments))


def names(alarm: Alarm) -> Iterator[tuple[str, str]]:
    """Namespace and name of every metric that an alarm looks at."""
    for query in alarm.queries:
        if "metric" in query:
            yield query["metric"]["namespace"], query["metric"]["metric_name"]
        elif found := _SELECT.fullmatch(query["expression"]):
            assert found[2] == NODE_DIMENSIONS
            assert found[1] in OF_A_NODE
            assert found[3] == _FIRST[alarm.comparison]
            yield "ContainerInsights", found[1]


def test_every_metric_is_one_that_somebody_sends() -> None:
    written = {f"{controller.name}-errors" for controller in WATCHED.controllers}
    known = {
        "ContainerInsights": OF_THE_CLUSTER,
        "AWS/Events": OF_A_RULE,
        WATCHED.errors_namespace: written,
    }
    seen = {pair for alarm in ALARMS.values() for pair in names(alarm)}
    assert {pair for pair in seen if pair[1] not in known[pair[0]]} == set()
    assert {name for _, name in seen} == OF_THE_CLUSTER | OF_A_RULE | written
    filters = monitored().of_type("aws:cloudwatch/logMetricFilter:LogMetricFilter")
    assert {each.inputs["metricTransformation"]["name"] for each in filters} == written
    # The rule is Karpenter's own.
    assert rule_name("c", "spot") == WATCHED.spot_rule
    assert "spot" in EVENTS


def aws_query(query: Mapping[str, Any]) -> dict[str, Any]:
    """A query as the provider sends it."""
    sent = {"Id": query["id"], "ReturnData": query["returnData"]}
    if "expression" in query:
        sent |= {"Expression": query["expression"], "Label": query.get("label", query["id"])}
        return sent | ({"Period": query["period"]} if "period" in query else {})
    metric = query["metric"]
    dimensions = [{"Name": name, "Value": value} for name, value in metric.get("dimensions", {}).items()]
    named = {"Namespace": metric["namespace"], "MetricName": metric["metricName"], "Dimensions": dimensions}
    return {**sent, "MetricStat": {"Metric": named, "Period": metric["period"], "Stat": metric["stat"]}}


def test_cloudwatch_takes_every_alarm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    model = botocore.session.get_session().get_service_model("cloudwatch").operation_model("PutMetricAlarm")
    resources = monitored().of_type("aws:cloudwatch/metricAlarm:MetricAlarm")
    assert {each.inputs["name"] for each in resources} == {f"c-{name}" for name in ALARMS}
    with mock_aws():
        client = boto3.client("cloudwatch", region_name="us-east-1")
        for each in resources:
            inputs = each.inputs
            call = {
                "AlarmName": inputs["name"],
                "AlarmDescription": inputs["alarmDescription"],
                "AlarmActions": inputs["alarmActions"],
                "OKActions": inputs["okActions"],
                "EvaluationPeriods": int(inputs["evaluationPeriods"]),
                "DatapointsToAlarm": int(inputs["datapointsToAlarm"]),
                "Threshold": inputs["threshold"],
                "ComparisonOperator": inputs["comparisonOperator"],
                "TreatMissingData": inputs["treatMissingData"],
                "Metrics": [aws_query(query) for query in inputs["metricQueries"]],
            }
            report = ParamValidator().validate(call, model.input_shape)
            assert not report.has_errors(), report.generate_report()
            # One series is judged, and no query's name begins with a capital (API reference, MetricDataQuery).
            assert [query["ReturnData"] for query in call["Metrics"]].count(True) == 1
            assert all(re.fullmatch(r"[a-z]\w*", query["Id"]) for query in call["Metrics"])
            client.put_metric_alarm(**call)
        assert len(client.describe_alarms()["MetricAlarms"]) == len(ALARMS)


def test_alarms_look_no_further_back_than_cloudwatch_does() -> None:
    """A day for periods under an hour, a week above; three hours for Metrics Insights (CloudWatch user guide)."""
    for alarm in ALARMS.values():
        assert alarm.datapoints * alarm.period == alarm.minutes * 60
        assert alarm.minutes * 60 <= DAY
        if any("SELECT" in query.get("expression", "") for query in alarm.queries):
            assert alarm.minutes <= 180


JUDGED: Mapping[str, Callable[[float, float], bool]] = {
    "LessThanThreshold": operator.lt,
    "GreaterThanThreshold": operator.gt,
    "GreaterThanOrEqualToThreshold": operator.ge,
}
#: By alarm: a value at which it rings, and one at which it does not.
CASES = {
    "gpu-idle": (0.0, IDLE_PERCENT),
    "gpu-memory-full": (95.0, 94.9),
    "pods-waiting": (1.0, 0.0),
    "spot-interruptions": (3.0, 2.0),
    "karpenter-errors": (float(ERRORS), ERRORS - 1.0),
    "knative-errors": (float(ERRORS), ERRORS - 1.0),
    "gpu-usd-per-hour": (0.56, 0.55),
}


@pytest.mark.parametrize("alarm", ALARMS)
def test_when_an_alarm_rings(alarm: str) -> None:
    rings, rests = CASES[alarm]
    judged = JUDGED[ALARMS[alarm].comparison]
    assert judged(rings, ALARMS[alarm].threshold)
    assert not judged(rests, ALARMS[alarm].threshold)


@pytest.mark.parametrize("period", [PERIOD, DAY])
def test_dollars_are_gpus_times_the_price_of_one(period: int) -> None:
    """Two GPUs, a sample a minute each, at 0.40 USD."""
    samples = 2 * period // 60
    found = re.fullmatch(r"samples / (\d+) \* ([\d.]+)", usd_expression(0.4, period))
    assert found
    assert samples / int(found[1]) * float(found[2]) == pytest.approx(0.8)


def test_without_prices_or_budget_no_alarm_on_dollars() -> None:
    changes: list[dict[str, Any]] = [{"usd_per_gpu_hour": None}, {"usd_per_hour": None}]
    for change in changes:
        assert "gpu-usd-per-hour" not in {alarm.name for alarm in alarms(dataclasses.replace(WATCHED, **change))}


def test_with_mig_nobody_says_what_is_idle_or_runs() -> None:
    """DCGM has no utilisation of MIG (NVIDIA/dcgm-exporter#216, #430): an alarm on it would ring for ever."""
    mig = dataclasses.replace(WATCHED, utilisation=False)
    assert ALARMS.keys() - {alarm.name for alarm in alarms(mig)} == {"gpu-idle", "gpu-usd-per-hour"}
    assert "SampleCount" not in json.dumps(dashboard(mig, "us-east-1"))


def test_cloudwatch_takes_the_dashboard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    inputs = monitored().one("aws:cloudwatch/dashboard:Dashboard").inputs
    body = json.loads(inputs["dashboardBody"])
    assert body == json.loads(json.dumps(dashboard(WATCHED, "us-east-1")))
    with mock_aws():
        client = boto3.client("cloudwatch", region_name="us-east-1")
        client.put_dashboard(DashboardName=inputs["dashboardName"], DashboardBody=inputs["dashboardBody"])
        assert client.get_dashboard(DashboardName="c-gpus")["DashboardBody"] == inputs["dashboardBody"]
    # The grid has 24 columns, and no two widgets lie on each other (CloudWatch API reference, "Dashboard body").
    places = [(each["x"], each["y"]) for each in body["widgets"]]
    assert len(set(places)) == len(places)
    assert all(each["x"] + each["width"] <= 24 for each in body["widgets"])
    for each in body["widgets"]:
        shown = [options(line) for line in each["properties"]["metrics"]]
        hidden = {found["id"] for found in shown if found.get("visible") is False}
        used = {word for found in shown for word in re.findall(r"\b[a-z]\w*", found.get("expression", ""))}
        assert hidden <= used, each["properties"]["title"]


def options(line: list[Any]) -> dict[str, Any]:
    """The last element of a metric in a dashboard, where it is no text."""
    return line[-1] if isinstance(line[-1], dict) else {}


def test_logs_are_encrypted_and_end_and_are_there_before_the_agent() -> None:
    recording = monitored()
    groups = recording.of_type("aws:cloudwatch/logGroup:LogGroup")
    assert {each.inputs["name"] for each in groups} == {
        f"/aws/containerinsights/c/{log}" for log in ("application", "dataplane", "host", "performance")
    }
    assert {(each.inputs["kmsKeyId"], each.inputs["retentionInDays"]) for each in groups} == {("key", 365)}
    addon = recording.one("aws:eks/addon:Addon")
    assert all(recording.outlives(each, addon) for each in groups)
    assert addon.inputs["addonVersion"] == versions.EKS_ADDON_VERSIONS["1.36"][ADDON]
    (association,) = addon.inputs["podIdentityAssociations"]
    assert association["serviceAccount"] == "cloudwatch-agent"


def test_what_monitoring_takes_of_a_gpu_node_is_in_its_reserve() -> None:
    """Kubelet, VPC CNI, kube-proxy, monitoring agent and model cache as `gpu.host_share` counts them, and these."""
    cpu = sum(pod.cpu_millis for pod in MONITORING_PODS)
    memory = sum(pod.memory_mib for pod in MONITORING_PODS)
    assert 80 + 50 + 100 + 10 + 50 + cpu <= RESERVED_CPU_MILLIS
    # A g6.xlarge: Karpenter takes 7.5 % of 16 GiB, the share 10 %.
    assert 255 + 11 * 58 + 100 + 300 + memory <= RESERVED_MEMORY_MIB + 0.025 * 16384


def test_the_configuration_gives_each_pod_its_requests_and_every_nvidia_node_the_exporter() -> None:
    configuration = addon_configuration({"role": "system"})
    given = [
        configuration["agent"]["resources"],
        configuration["containerLogs"]["fluentBit"]["resources"],
        configuration["dcgmExporter"]["resources"],
    ]
    assert [each["requests"] for each in given] == [
        {"cpu": f"{pod.cpu_millis}m", "memory": f"{pod.memory_mib}Mi"} for pod in MONITORING_PODS
    ]
    assert configuration["manager"]["nodeSelector"] == {"role": "system"}
    # The chart's own is left where any node will do; an empty one would be merged with it.
    assert "nodeSelector" not in addon_configuration({})["manager"]
    text = json.dumps(configuration["dcgmExporter"]["affinity"])
    assert '"karpenter.k8s.aws/instance-gpu-manufacturer", "operator": "In", "values": ["nvidia"]' in text


def test_the_bill_counts_what_is_there() -> None:
    priced = [name for name in ALARMS if name != "gpu-usd-per-hour"]
    assert len(priced) == MONITORING_ALARMS
    assert len(WATCHED.controllers) == MONITORING_COUNTERS


@pytest.mark.parametrize("controller", [KARPENTER, KNATIVE], ids=lambda each: str(each.name))
def test_patterns_find_errors_as_fluent_bit_writes_them(controller: Any) -> None:
    """The fields of the pattern are those of Fluent Bit's Kubernetes filter, merged logs below `log_processed`."""
    fields = set(re.findall(r"\$\.([\w.]+)", controller.pattern))
    kubernetes = {"kubernetes.namespace_name", "kubernetes.pod_name"}
    assert fields - kubernetes in ({"log_processed.level"}, {"log_processed.severity"})
    model = botocore.session.get_session().get_service_model("logs").operation_model("PutMetricFilter")
    assert len(controller.pattern) <= model.input_shape.members["filterPattern"].metadata["max"]


@pytest.mark.parametrize(
    ("changes", "each", "utilisation"),
    [
        # A g6.xlarge on Spot: half of 0.8048, one GPU.
        ({}, 0.4024, True),
        # A g6.12xlarge has four for 4.6016.
        ({"pools[0].gpusPerNode": [4], "pools[0].instanceFamilies": ["g6"], "pools[0].maxGpus": 4}, 0.5752, True),
    ],
)
def test_a_gpu_counts_at_the_price_of_the_dearest_pool(changes: dict[str, Any], each: float, utilisation: bool) -> None:
    found = watched(parsed(changed(changes)))
    assert found.usd_per_gpu_hour == pytest.approx(each)
    assert found.usd_per_hour == pytest.approx(40_000 / 730)
    assert found.utilisation is utilisation
