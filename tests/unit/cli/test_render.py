"""What people see: everything in 80 columns, nothing cut, no colour where there is none."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from typing import Any

import pytest
from rich.console import Console

from cli.commands import status_of
from cli.console import hanging
from cli.render import render
from cli.tree import resource_tree
from config.load import parse
from plan.as_json import plan_json
from plan.figures import figures
from plan.make import Plan
from tests.unit.cli.plans import CONFIG, POOL, STACK_URN, plan_of, resource, verdict


def printed(plan: Plan, capsys: pytest.CaptureFixture[str], *, show_all: bool = False) -> str:
    render(plan, show_all=show_all)
    return capsys.readouterr().out


def table(text: str, title: str) -> list[list[str]]:
    """Rows of the table below a title, cells split at two or more blanks."""
    below = text.split(f"\n{title}", 1)[1].split("─\n", 1)[1].split("\n\n", 1)[0]
    return [re.split(r" {2,}", line.strip()) for line in below.splitlines()]


def test_pools_show_slots_memory_resource_and_limits(capsys: pytest.CaptureFixture[str]) -> None:
    rows = table(printed(plan_of(), capsys), "GPU pools")
    assert rows == [
        ["shared", "time-slicing, 3 replicas", "g6", "3", "7.3", "6 slots"],
        ["spot", "nvidia.com/gpu", "L4", "2 GPUs"],
        ["always-on", "mps, 2 replicas ≤ 50 %", "g6", "2", "10.9", "2 slots"],
        ["on-demand", "nvidia.com/gpu", "L4", "1 GPU"],
        ["isolated", "mig 1g.10gb", "p5", "7", "9.8", "28 slots"],
        ["spot", "nvidia.com/mig-1g.10gb", "H100", "4 GPUs"],
    ]


def test_memory_adds_up_and_says_what_is_left(capsys: pytest.CaptureFixture[str]) -> None:
    rows = table(printed(plan_of(), capsys), "Slots, and the memory")
    assert rows[0] == ["mistral on shared", "1", "4.1", "0.5", "0.9", "5.5", "7.3", "1.8"]
    assert rows[1] == ["mistral:7b, 4096 tokens"]
    assert rows[3] == ["llama3.2:3b, 8192 tokens q8_0"]


def test_what_claims_memory_has_its_claim_and_not_the_gpu(capsys: pytest.CaptureFixture[str]) -> None:
    """Of a GPU's 23,034 MiB applications have 22,342: 3,093 are claimed for 3,000."""
    pool = {"name": "claimed", "instanceTypes": ["g6.xlarge"], "maxGpus": 2, "sharing": {"strategy": "memory"}}
    container = {"name": "app", "image": "ghcr.io/acme/app:1.2.3", "slots": 1}
    work = {"name": "transcribe", "pool": "claimed", "gpuMemoryMib": 3000, "containers": [container]}
    plan = plan_of({"pools": [pool], "models": [], "workloads": [work], "examples": False})
    rows = table(printed(plan, capsys), "Slots, and the memory")
    assert rows[0] == ["transcribe on claimed", "1", "-", "-", "-", "2.9", "3.0", "0.1"]
    (consumer,) = json.loads(plan_json(plan))["costs"]["consumers"]
    assert (consumer["slotMemoryMib"], consumer["needMib"]) == (3093, 3000)


def test_the_bill_is_the_sum_of_its_lines(capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(plan_of(), capsys)
    bill = text[text.index("Bill of a month") :].split("\n- ", 1)[0].splitlines()
    ending = [(line, re.search(r"[\d,]+\.\d\d$", line)) for line in bill]
    amounts = [(line.startswith("="), float(found[0].replace(",", ""))) for line, found in ending if found]
    *lines, total = [usd for is_sum, usd in amounts if not is_sum]
    assert sum(lines) == pytest.approx(total, abs=0.1)
    assert sum(usd for is_sum, usd in amounts if is_sum) == pytest.approx(total, abs=0.03)
    assert "EKS control plane" in text
    assert "Use, supposed; write usage: to say better" in text


def test_the_comparison_says_where_the_bill_has_less(capsys: pytest.CaptureFixture[str]) -> None:
    """Nine Jobs of 100 h, and 5 minutes until their nodes go, find two nodes of three slots: 2 x 100.083 x 0.4024 =
    80.55 of 3 x 100.083 x 0.4024 = 120.82."""
    job = {"kind": "Job", "pool": "shared", "containers": [{"name": "app", "image": "ghcr.io/acme/app:1", "slots": 1}]}
    jobs = [{**job, "name": f"job-{number}"} for number in range(9)]
    config = {"pools": [POOL], "models": [], "examples": False, "workloads": jobs, "usage": {"hoursPerRun": 100}}
    text = " ".join(printed(plan_of(config), capsys).split())
    assert "the stack as written 3 120.82" in text
    assert "The bill has 80.55 for these nodes: there, what finds no slot within maxGpus waits" in text
    assert "The bill has" not in " ".join(printed(plan_of({**config, "workloads": jobs[:6]}), capsys).split())


def test_what_is_said_of_use_and_budget_stands_below_the_bill(capsys: pytest.CaptureFixture[str]) -> None:
    config = {**CONFIG, "usage": {"hoursPerDay": 4}, "budget": {"monthlyUsd": 10_000, "emails": ["a@acme.dev"]}}
    text = " ".join(printed(plan_of(config), capsys).split())
    assert (
        "Use, as the stack file says: models that may sleep hold their slots 4 h a day, all at the same hours." in text
    )
    assert "say better: nodes of models that may sleep start 1 x a day; logs of 10 GB are written." in text
    assert re.search(r"Budget: 10,000.00 USD a month; \d\d? % of it is expected to be spent.", text)
    assert "Ceiling: all GPUs of maxGpus" in text


def test_prices_per_node_and_slot(capsys: pytest.CaptureFixture[str]) -> None:
    rows = table(printed(plan_of(), capsys), "GPU prices")
    summary = plan_of().figures
    assert summary
    price = summary.pools[0].price
    assert price
    assert rows[0] == [
        "shared",
        price.instance_type,
        "3",
        f"{price.on_demand_usd_per_hour:.4f}",
        f"{price.on_demand_usd_per_hour / 3:.4f}",
        f"{price.spot_usd_per_hour:.4f}",
        f"{price.spot_usd_per_hour / 3:.4f}",
    ]


def test_sharing_is_compared_with_a_gpu_each_on_whole_nodes(capsys: pytest.CaptureFixture[str]) -> None:
    """Four models on nodes of three: 2 x 0.4024 against 4 x 0.21566 an hour, 243.33 h a month."""
    models = [{"name": f"m{i}", "model": "mistral:7b", "pool": "shared"} for i in range(4)]
    text = " ".join(printed(plan_of({"pools": [{**POOL, "maxGpus": 4}], "models": models}), capsys).split())
    assert "sharing costs 7 % less: 195.83 against 209.91." in text
    assert "shared: sharing pays from 2 slots taken at the same time" in text


def test_a_deployment_stands_among_those_that_hold_slots(capsys: pytest.CaptureFixture[str]) -> None:
    container = {"name": "app", "image": "ghcr.io/acme/app:1.2.3", "slots": 1}
    workload = {"name": "batch", "pool": "shared", "replicas": 5, "gpuMemoryMib": 4096, "containers": [container]}
    text = " ".join(printed(plan_of({"pools": [POOL], "workloads": [workload]}), capsys).split())
    assert "batch on shared 5 - - - 4.0 7.3 3.3 Deployment" in text
    assert "batch 5 slots, always g4dn.xlarge" in text
    assert "= always runs" in text
    assert "Nothing sleeps, so that use does not change this." in text


def test_whole_gpus_claim_no_saving(capsys: pytest.CaptureFixture[str]) -> None:
    models = [{"name": "m", "model": "mistral:7b", "pool": "shared"}]
    text = printed(plan_of({"pools": [{**POOL, "sharing": {"strategy": "none"}}], "models": models}), capsys)
    assert "not shared" in text
    assert "Nothing is shared, so sharing saves 0 %." in text
    assert re.search(r"^sharing alone .* 0 %$", text, re.MULTILINE)


def test_where_sharing_costs_more_the_plan_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    """One model on an H100 of seven slots: 3.44 USD/hour against 0.2157 for a g4dn.xlarge."""
    pool = {
        "name": "mig",
        "instanceTypes": ["p5.4xlarge"],
        "maxGpus": 1,
        "sharing": {"strategy": "mig", "profile": "1g.10gb"},
    }
    models = [{"name": "m", "model": "mistral:7b", "pool": "mig"}]
    text = " ".join(printed(plan_of({"pools": [pool], "models": models}), capsys).split())
    assert "sharing costs 1,495 % more: 837.07 against 52.48." in text
    assert "mig: sharing is dearer than a GPU each, even with all its slots taken that the stack has: it buys" in text
    assert "dearer than a GPU each at every use." in text
    assert "mig: no Spot price of p5.4xlarge was seen" in text
    assert "describe-spot-price-history --region us-east-1 \\ --instance-types p5.4xlarge" in text


def test_the_dearest_node_that_may_come_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(plan_of({"pools": [{**POOL, "instanceFamilies": ["g6", "g5"]}]}), capsys)
    assert "shared may buy others, up to g5.16xlarge: 2.0070 (Spot estimate), 3 slots." in text
    assert "no Spot price" not in text


def test_a_family_without_a_number_of_gpus_is_its_small_nodes() -> None:
    pool = {key: value for key, value in POOL.items() if key != "gpusPerNode"}
    figures = plan_of({"pools": [pool]}).figures
    assert figures
    assert {t.gpu_count for t in figures.pools[0].types} == {1}


def test_without_models_there_is_nothing_to_compare() -> None:
    config = parse({"pools": [POOL]}, stack="dev", region="us-east-1")
    assert figures(config).comparison is None
    assert [consumer.kind for consumer in figures(config).consumers] == ["example"]


def test_spot_is_labelled_and_prices_are_dated(capsys: pytest.CaptureFixture[str]) -> None:
    text = " ".join(printed(plan_of(), capsys).split())
    assert "of families with a discount they are estimates" in text
    assert re.search(r"on-demand prices of 20\d\d-\d\d-\d\d \(.*?\); service prices of 20\d\d-\d\d-\d\d", text)
    assert "those of" not in text


def test_how_often_spot_is_taken_back_is_said_with_its_day(capsys: pytest.CaptureFixture[str]) -> None:
    text = " ".join(printed(plan_of(), capsys).split())
    said = "5-10% of g6.xlarge and 10-15% to 15-20% of the others in a month (Spot Instance Advisor, 2025-05-28)"
    assert f"shared: AWS takes Spot nodes back: {said}." in text
    assert "always-on: AWS takes" not in text, "on-demand nodes stay"
    assert "isolated: AWS takes" not in text, "of p5.4xlarge nobody knows"


def test_prices_by_zone_of_one_day(capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(plan_of({"pools": CONFIG["pools"][:1]}, region="eu-central-1"), capsys)
    table = text[text.index("Spot prices of 2025-05-28, zones without names, USD per hour") :]
    assert re.search(r"g6.2xlarge +zone 1 +0.3376\ng6.2xlarge +zone 2 +0.3465\n", table)


LONG = "a-very-long-name-that-a-team-may-well-use"[:40]


def long_names() -> Plan:
    pools: list[dict[str, Any]] = [
        {**POOL, "name": LONG, "maxGpus": 1000, "sharing": {"strategy": "time-slicing", "replicas": 3, "rename": True}},
    ]
    models = [{"name": f"{LONG[:36]}-{i}", "model": "deepseek-r1:7b", "pool": LONG, "parallel": 2} for i in range(3)]
    deep = resource(LONG, "gpu-slices:index:InterruptionQueue")
    below = resource(f"{LONG}-{LONG}", "aws:ec2/routeTableAssociation:RouteTableAssociation", parent=deep.urn)
    return plan_of({"pools": pools, "models": models}, resources=[deep, below], verdicts=[verdict(mandatory=True)])


def test_nothing_is_wider_than_80_columns_or_cut(capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(long_names(), capsys)
    assert max(map(len, text.splitlines())) <= 80
    squeezed = re.sub(r"[\s│─├└]", "", text)
    assert squeezed.count(LONG) >= 2
    for figure in ("3000 slots", "1000 GPUs", "0.1341", "0.4024"):
        assert figure.replace(" ", "") in squeezed, figure
    assert not any(line.endswith(" ") for line in text.splitlines())


def test_models_that_differ_in_name_only_share_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    models = [{"name": f"m{i:03}", "model": "mistral:7b", "pool": "shared"} for i in range(500)]
    text = printed(plan_of({"pools": [{**POOL, "maxGpus": 200}], "models": models}), capsys)
    assert "m000 … m499 (×500)" in text
    assert len(text.splitlines()) < 140
    assert re.search(r"the stack as written +167 ", text)


def test_no_colour_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    assert "\x1b" not in printed(plan_of(verdicts=[verdict(mandatory=True)]), capsys)


SHOW = """
import json, os, sys
from tests.unit.cli.plans import plan_of, verdict
from cli.render import render
for variables in json.loads(sys.argv[1]):
    os.environ.update(variables)
    render(plan_of(verdicts=[verdict(mandatory=True)]))
    print(end="\\f", flush=True)
"""


def on_a_terminal(*variables: dict[str, str]) -> list[str]:
    """What a program prints when its output is a terminal: one text for each step of setting further variables."""
    ours, theirs = pty.openpty()
    environment = {"PATH": os.environ["PATH"], "TERM": "xterm", "COLUMNS": "80", "PYTHONUTF8": "1"}
    process = subprocess.Popen([sys.executable, "-c", SHOW, json.dumps(variables)], stdout=theirs, env=environment)
    os.close(theirs)
    chunks = []
    try:
        while chunk := os.read(ours, 65536):
            chunks.append(chunk)
    except OSError:  # Linux: the other side is closed
        pass
    os.close(ours)
    assert process.wait() == 0
    return b"".join(chunks).decode().split("\f")[:-1]


def test_a_terminal_gets_colour_unless_it_says_no() -> None:
    coloured, without, dumb = on_a_terminal({}, {"NO_COLOR": "1"}, {"TERM": "dumb"})
    assert "\x1b[1;31mmandatory" in coloured
    assert "gpu-slices" in without
    assert "\x1b[1;31m" not in without
    assert "gpu-slices" in dumb
    assert "\x1b" not in dumb


def test_verdicts_come_with_their_fix(capsys: pytest.CaptureFixture[str]) -> None:
    plan = plan_of(verdicts=[verdict(mandatory=False, message="[odd] text"), verdict(mandatory=True)])
    text = printed(plan, capsys)
    assert "mandatory on-demand-gpu: NodePool gpu-shared-pool\n    capacity type is on-demand\n    fix: write a" in text
    assert "[odd] text" in text
    assert text.index("mandatory on-demand-gpu") < text.index("advisory on-demand-gpu")
    assert "1 mandatory, 1 advisory" in text


@pytest.mark.parametrize(
    ("verdicts", "status"), [([], 0), ([verdict(mandatory=False)], 0), ([verdict(mandatory=True)], 3)]
)
def test_only_a_mandatory_violation_fails(verdicts: list[Any], status: int) -> None:
    assert status_of(plan_of(verdicts=verdicts)) == status


def test_notes_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert "- [x] is a secret" in printed(plan_of(notes=["[x] is a secret"]), capsys)


# --- The tree ---------------------------------------------------------------------------------------------------------


def tree_of(*resources: Any, show_all: bool = False) -> str:
    console = Console(width=100, color_system=None)
    with console.capture() as capture:
        console.print(resource_tree(plan_of(resources=resources).recording, show_all=show_all))
    return "\n".join(line.rstrip() for line in capture.get().splitlines())


def test_an_estimate_that_nobody_saw_is_marked_and_its_command_is_whole(capsys: pytest.CaptureFixture[str]) -> None:
    pool = {"name": "large", "instanceTypes": ["p5.4xlarge"], "sharing": {"strategy": "mig", "profile": "1g.10gb"}}
    kept = {key: value for key, value in POOL.items() if key != "instanceFamilies"}
    text = printed(plan_of({"pools": [{**kept, **pool}], "models": []}), capsys)
    assert "3.4400*" in text
    assert "\n* large: no Spot price of p5.4xlarge was seen" in text
    command = "aws ec2 describe-spot-price-history --region us-east-1 --instance-types p5.4xlarge --max-items 1"
    assert command in " ".join(text.replace("\\\n", " ").split())
    assert "*" not in printed(plan_of({"pools": [POOL], "models": []}), capsys)


def test_a_note_goes_on_below_itself(capsys: pytest.CaptureFixture[str]) -> None:
    console = Console(width=80, highlight=False)
    hanging(console, "- ", "word " * 40)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("- word")
    assert len(lines) > 2
    assert all(line.startswith("  word") for line in lines[1:])


def test_the_tree_follows_parents() -> None:
    network = resource("network", "gpu-slices:index:Network")
    vpc = resource("net", "aws:ec2/vpc:Vpc", parent=network.urn)
    provider = resource("aws", "pulumi:providers:aws")
    release = resource("k", "kubernetes:helm.sh/v3:Release", inputs={"chart": "oci://x/karpenter", "version": "1.2"})
    assert tree_of(provider, network, vpc, release) == (
        "gpu-slices-dev\n├── provider aws\n├── Network network\n│   └── Vpc net\n└── Release k  karpenter 1.2"
    )


def test_what_is_built_on_something_stands_below_it() -> None:
    # A component is registered when the program reaches it, its parts when what they wait for is there.
    pool, karpenter = resource("pool", "gpu-slices:index:GpuPool"), resource("karpenter", "gpu-slices:index:Karpenter")
    chart = resource("chart", "kubernetes:helm.sh/v3:Release", parent=karpenter.urn)
    node_pool = resource("np", "kubernetes:karpenter.sh/v1:NodePool", parent=pool.urn, dependencies=(chart.urn,))
    assert re.findall(r"── (\w+)", tree_of(pool, karpenter, chart, node_pool)) == [
        "Karpenter",
        "Release",
        "GpuPool",
        "NodePool",
    ]


def test_many_of_a_type_are_counted() -> None:
    models = [resource(f"m{i:03}", "gpu-slices:index:OllamaModel") for i in range(500)]
    parts = [resource(f"{m.name}-svc", "kubernetes:core/v1:Service", parent=m.urn) for m in models]
    assert tree_of(*models, *parts) == "gpu-slices-dev\n└── OllamaModel ×500 m000 … m499  with 500 resources"
    assert len(tree_of(*models, *parts, show_all=True).splitlines()) == 1001
    assert len(tree_of(*models[:3]).splitlines()) == 4


def test_configuration_of_the_test_is_valid() -> None:
    assert parse(CONFIG, stack="dev", region="us-east-1").pools[0].name == "shared"
    assert STACK_URN.endswith("gpu-slices-dev")


def test_the_cold_start_of_each_model_stands_with_where_its_figures_are_from(
    capsys: pytest.CaptureFixture[str],
) -> None:
    text = printed(plan_of(), capsys)
    rows = text[text.index("Cold start") : text.index("Bill of a month")]
    mistral = next(line for line in rows.splitlines() if line.startswith("mistral"))
    node, image, weights, load, total, warm = (int(figure) for figure in mistral.split()[1:])
    assert abs(node + image + weights + load - total) <= 2
    assert warm < load + 10
    for step in ("node", "plugin", "image", "weights", "load"):
        assert re.search(rf"^{step} +(measured|estimate): ", rows, re.MULTILINE), step
    assert "fastImagePull" in rows


def test_a_shared_server_says_what_it_costs_and_saves(capsys: pytest.CaptureFixture[str]) -> None:
    pool = {**POOL, "sharing": {"strategy": "time-slicing", "replicas": 2}}
    models = [
        {"name": "a", "model": "mistral:7b", "pool": "shared", "server": "both"},
        {"name": "b", "model": "llama3.2:3b", "pool": "shared", "server": "both"},
    ]
    text = " ".join(printed(plan_of({"pools": [pool], "models": models}), capsys).split())
    assert "both serves a and b from 1 slot instead of 2. It wakes with all" in text
    assert re.search(r"It wakes with all of them, in \d+ s \(alone: a \d+, b \d+ s\)", text)


def test_gpu_nodes_that_never_go_always_run_in_the_bill(capsys: pytest.CaptureFixture[str]) -> None:
    warm = {"days": ["mon", "tue", "wed", "thu", "fri"], "start": "08:00", "end": "18:00"}
    model = {"name": "a", "model": "mistral:7b", "pool": "shared"}
    always = plan_of({"pools": [{**POOL, "warm": {}}], "models": [{**model, "minScale": 1}]})
    text = " ".join(printed(always, capsys).split())
    assert "GPU nodes, shared 2 slots, 730 h of g6.xlarge, 252.63 293.75" in text
    assert "shared, kept warm 1" in text
    hours = plan_of({"pools": [{**POOL, "warm": warm}], "models": [model]})
    text = " ".join(printed(hours, capsys).split())
    assert "GPU nodes, shared 1 slot, 217 h of g6.xlarge, 75.19 87.43" in text


def test_a_model_s_own_mps_limits_stand_in_the_plan(capsys: pytest.CaptureFixture[str]) -> None:
    pool = {**POOL, "sharing": {"strategy": "mps", "replicas": 3}}
    limits = {"memoryMib": 6000, "maxComputePercent": 20}
    models = [{"name": "a", "model": "mistral:7b", "pool": "shared", "mps": limits}]
    text = " ".join(printed(plan_of({"pools": [pool], "models": models}), capsys).split())
    assert "mps, 3 replicas ≤ 33 %" in text
    assert "at most 20 % of the GPU and 6000 MiB" in text
    assert "mps estimate: the device plugin looks for MPS' warm daemon, misses it, and looks again" in text
    # What is left is of its own limit: 6000 MiB less the 5631 that it needs.
    assert " 0.4 " in text


def test_what_an_interruption_costs_a_job_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    container = {"name": "app", "image": "r.example.com/app:1", "slots": 1}
    job = {"pool": "shared", "kind": "Job", "containers": [container]}
    jobs = [
        {**job, "name": "train", "checkpoint": {"intervalMinutes": 5}},
        {**job, "name": "fetch", "pool": "always-on"},
        {**job, "name": "server", "kind": "Deployment", "pool": "isolated"},
    ]
    text = printed(plan_of({**CONFIG, "models": [], "workloads": jobs}), capsys)
    said = " ".join(text.partition("Jobs, when they are interrupted")[2].split())
    assert (
        "- train, on Spot: goes on, at most 5 min of work lost; nothing where it is told, with 100 s to keep its "
        "state. Kept in the stack's bucket, train/. - fetch, on demand: begins anew."
    ) in said
    assert "server" not in said.partition("Bill of a month")[0]


def test_work_that_says_what_it_needs_is_told_where_it_goes_and_why(capsys: pytest.CaptureFixture[str]) -> None:
    container = {"name": "app", "image": "ghcr.io/acme/app:1.2.3"}
    whole = {**POOL, "name": "whole", "sharing": {"strategy": "none"}}
    work = [{"name": f"w{i}", "gpuShare": "30 %", "kind": "Job", "containers": [container]} for i in range(3)]
    named = {"name": "named", "gpuMemory": "3 GiB", "pool": "whole", "containers": [container]}
    text = " ".join(printed(plan_of({"pools": [POOL, whole], "workloads": [*work, named]}), capsys).split())
    assert "w0 … w2 (×3) shared, 1 slot 3.33 % 0.1341" in text
    assert "33.33 % of the time when all 3 compute" in text
    assert "w0 … w2 (×3): the cheapest slot that does. Would do: whole at 0.4024." in text
    assert "named: the stack file names pool whole." in text


def test_why_a_cheaper_pool_is_none(capsys: pytest.CaptureFixture[str]) -> None:
    whole = {**POOL, "name": "whole", "sharing": {"strategy": "none"}}
    work = {"name": "w", "gpuShare": "50 %", "containers": [{"name": "app", "image": "ghcr.io/acme/app:1.2.3"}]}
    text = " ".join(printed(plan_of({"pools": [POOL, whole], "workloads": [work]}), capsys).split())
    assert "Not shared: a slot is 33.33 % of a GPU (time-slicing, 3 replicas), and 2 slots are no larger slot." in text
