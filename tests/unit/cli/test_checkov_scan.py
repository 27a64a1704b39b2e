"""The independent judge: what it reads, what is accepted, and that it sees what we would want it to see."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from plan.project import find_project, load_stack
from plan.record import record
from tests.unit.cli.projects import write_project
from tools import checkov_scan
from tools.checkov_scan import Accepted, Finding, ScanError, addresses_by_line, judge, load_accepted
from tools.terraform import terraform_document

pytestmark = pytest.mark.parts

FINDING = Finding("dev", "CKV_AWS_39", "aws_eks_cluster.cluster", "public endpoint")
ACCEPTED = Accepted("CKV_AWS_39", "aws_eks_cluster.*", "an allowlist")


def test_a_finding_needs_an_exception_with_its_id_and_resource() -> None:
    assert judge([FINDING], [ACCEPTED], all_stacks=True) == []
    other_id = Accepted("CKV_AWS_38", "aws_eks_cluster.*", "x")
    other_resource = Accepted("CKV_AWS_39", "aws_eks_cluster.other", "x")
    wrong = judge([FINDING], [other_id, other_resource], all_stacks=False)
    assert wrong == ["dev: CKV_AWS_39 aws_eks_cluster.cluster: public endpoint"]


def test_an_exception_that_matches_nothing_fails_when_all_is_scanned() -> None:
    unused = Accepted("CKV_AWS_1", "*", "long gone")
    assert judge([FINDING], [ACCEPTED, unused], all_stacks=True) == [
        "checkov-exceptions.yaml: CKV_AWS_1 * matches no finding: remove it"
    ]
    assert judge([FINDING], [ACCEPTED, unused], all_stacks=False) == []
    of_own_stacks = Accepted("CKV_AWS_1", "*", "what a stack file of one's own has", own=True)
    assert judge([FINDING], [ACCEPTED, of_own_stacks], all_stacks=True) == []


def test_every_exception_has_a_reason(tmp_path: Path) -> None:
    assert all(len(entry.reason) > 30 for entry in load_accepted(checkov_scan.EXCEPTIONS))
    (tmp_path / "x.yaml").write_text("- {id: A, resource: b, reason: c}\n- {id: A, reason: ' '}")
    with pytest.raises(ScanError, match=r"x\.yaml: entry 2 has no resource and no reason"):
        load_accepted(tmp_path / "x.yaml")


def test_resources_are_found_by_their_line(tmp_path: Path) -> None:
    program = """
        import pulumi_aws as aws
        aws.sqs.Queue("a", tags={"x": "y"})
        aws.sqs.Queue("b")
        aws.kms.Key("a")
    """
    project = find_project(write_project(tmp_path, program))
    document = json.dumps(terraform_document(record(project, load_stack(project, "dev"))), indent=2)
    lines = document.splitlines()
    addresses = addresses_by_line(document)
    assert sorted(addresses.values()) == ["aws_kms_key.a", "aws_sqs_queue.a", "aws_sqs_queue.b"]
    for number, address in addresses.items():
        assert f'"{address.partition(".")[2]}": {{' in lines[number - 1]


def test_a_report_that_read_nothing_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = {"said": "[]"}

    def run(*_: Any, **__: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess([], 0, answers["said"], "")

    monkeypatch.setattr(subprocess, "run", run)
    with pytest.raises(ScanError, match="read no terraform_json"):
        checkov_scan._run(Path("checkov"), tmp_path)
    answers["said"] = "something broke"
    with pytest.raises(ScanError, match="something broke"):
        checkov_scan._run(Path("checkov"), tmp_path)


needs_checkov = pytest.mark.skipif(
    not checkov_scan.CHECKOV.exists(), reason="Checkov is not installed: `make checkov-env` does it"
)

# One of each way in which a check finds its resource: its own arguments, a nested block, and another resource.
WEAK = """
    import json, pulumi, pulumi_aws as aws, pulumi_eks as eks, pulumi_kubernetes as k8s
    vpc = aws.ec2.Vpc("net", cidr_block="10.0.0.0/16")
    aws.kms.Key("data", enable_key_rotation=False)
    aws.sqs.Queue("queue")
    aws.ec2.LaunchTemplate("nodes", metadata_options={"http_tokens": "optional"})
    aws.iam.Policy("all", policy=json.dumps({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": "*", "Resource": "*"}]}))
    eks.Cluster("cluster", name="c", version="1.34", vpc_id=vpc.id, endpoint_public_access=True,
                public_access_cidrs=["0.0.0.0/0"])
    k8s.apps.v1.Deployment("root", metadata={"name": "root"}, spec={
        "selector": {"match_labels": {"a": "b"}},
        "template": {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [
            {"name": "c", "image": "x:1", "security_context": {"privileged": True}}]}}})
"""
SEEN = {
    ("CKV2_AWS_11", "aws_vpc.net"),  # no flow log refers to it
    ("CKV2_AWS_12", "aws_vpc.net"),  # its default security group is open
    ("CKV_AWS_7", "aws_kms_key.data"),
    ("CKV_AWS_27", "aws_sqs_queue.queue"),
    ("CKV_AWS_79", "aws_launch_template.nodes"),
    ("CKV_AWS_62", "aws_iam_policy.all"),
    ("CKV_AWS_38", "aws_eks_cluster.cluster"),
    ("CKV_AWS_58", "aws_eks_cluster.cluster"),
    ("CKV_AWS_37", "aws_eks_cluster.cluster"),
    ("CKV_K8S_16", "Deployment.default.root"),
}


@needs_checkov
def test_checkov_sees_what_is_weak(tmp_path: Path) -> None:
    project = find_project(write_project(tmp_path, WEAK))
    findings = {(finding.check, finding.resource) for finding in checkov_scan.scan(project, "dev")}
    assert SEEN - findings == set()
    assert not any(resource.startswith("resource.") for _, resource in findings)
