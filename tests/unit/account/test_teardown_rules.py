"""Which stack, whose account, whose things: what decides before anything is looked at."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from account.session import Identity
from account.teardown.kinds import Call, Step
from account.teardown.marks import CLUSTER_NAME_TAGS, DoorRecord, Marks
from account.teardown.permit import refuse_foreign, refuse_protected
from account.teardown.pulumi_state import PulumiState, Unread, parse_state, read_state
from account.teardown.target import DIALOGUE_HOST, Target, read_target
from components.serving.dialogue import SERVICE
from plan.errors import InputError

MARKS = Marks(stack="dev", cluster="gpu-slices-dev", region="us-east-1")
TARGET = Target(stack="dev", directory=Path(), marks=MARKS, protected=False)
CALLER = Identity(account="482910365577", arn="arn:aws:sts::482910365577:assumed-role/admin/ann")
UNREAD = Unread("there is no pulumi command")


def state(**more: Any) -> PulumiState:
    empty: dict[str, Any] = {
        "resources": 0,
        "accounts": frozenset(),
        "regions": frozenset(),
        "names": frozenset(),
        "protected": (),
    }
    return PulumiState(**(empty | more))


@pytest.mark.parametrize("key", CLUSTER_NAME_TAGS)
def test_a_tag_with_the_clusters_whole_name_marks(key: str) -> None:
    assert MARKS.mark({key: "gpu-slices-dev"}) == f"{key}=gpu-slices-dev"
    for other in ("gpu-slices-dev-thomas", "gpu-slices-dev2", "gpu-slices-de", "GPU-slices-dev", ""):
        assert MARKS.mark({key: other}) is None


@pytest.mark.parametrize(
    ("tags", "mark"),
    [
        ({"gpu-slices/stack": "dev"}, "gpu-slices/stack=dev"),
        ({"gpu-slices/stack": "dev2"}, None),
        ({"gpu-slices/stack": "dev-thomas", "gpu-slices/cluster": "gpu-slices-dev"}, None),
        ({"gpu-slices/stack": "dev", "gpu-slices/cluster": "ml-dev"}, None),
        ({"gpu-slices/stack": "dev", "eks:eks-cluster-name": "ml-dev"}, None),
        ({"kubernetes.io/cluster/gpu-slices-dev": "owned"}, "kubernetes.io/cluster/gpu-slices-dev=owned"),
        # Somebody's VPC in which the cluster may put load balancers.
        ({"kubernetes.io/cluster/gpu-slices-dev": "shared"}, None),
        ({"kubernetes.io/cluster/gpu-slices-dev-thomas": "owned"}, None),
        # What Karpenter selects by is not what it owns.
        ({"karpenter.sh/discovery": "gpu-slices-dev"}, None),
        ({"Name": "gpu-slices-dev"}, None),
        ({}, None),
    ],
)
def test_marks(tags: dict[str, str], mark: str | None) -> None:
    assert MARKS.mark(tags) == mark


@pytest.mark.parametrize(
    ("tags", "ours"),
    [
        # Without a region it may be a stack's of that name that stands elsewhere.
        ({"gpu-slices/stack": "dev", "gpu-slices/cluster": "gpu-slices-dev"}, False),
        (
            {"gpu-slices/stack": "dev", "gpu-slices/cluster": "gpu-slices-dev", "gpu-slices/region": "eu-west-1"},
            False,
        ),
        ({"gpu-slices/stack": "dev", "gpu-slices/cluster": "gpu-slices-dev", "gpu-slices/region": "us-east-1"}, True),
        ({"gpu-slices/stack": "dev"}, False),
        # Another tool's cluster of the same name in another region.
        ({"kubernetes.io/cluster/gpu-slices-dev": "owned"}, False),
        ({"eks:eks-cluster-name": "gpu-slices-dev", "topology.kubernetes.io/region": "us-east-1"}, True),
        ({"eks:eks-cluster-name": "gpu-slices-dev", "topology.kubernetes.io/region": "eu-west-1"}, False),
        ({"gpu-slices/stack": "dev", "topology.kubernetes.io/region": "eu-west-1"}, False),
    ],
)
def test_in_iam_a_clusters_name_is_not_enough(tags: dict[str, str], ours: bool) -> None:
    assert (MARKS.mark(tags, worldwide=True) is not None) is ours


@pytest.mark.parametrize(
    ("named", "known", "words"),
    [
        (None, UNREAD, "nobody knows in which account"),
        (None, state(), "it holds nothing any more"),
        ("111111111111", UNREAD, "is in account 111111111111, not in 482910365577"),
        ("482910365577", state(accounts=frozenset({"111111111111"})), "is not the stack's"),
        (None, state(accounts=frozenset({"111111111111"})), "is in account 111111111111"),
        (None, state(accounts=frozenset({"111111111111", "482910365577"})), "several accounts"),
        ("482910365577", state(regions=frozenset({"eu-west-1"})), "its file says us-east-1"),
    ],
)
def test_a_foreign_or_unknown_account_is_refused(named: str | None, known: PulumiState | Unread, words: str) -> None:
    with pytest.raises(InputError, match=words):
        refuse_foreign(TARGET, known, CALLER, named)


@pytest.mark.parametrize(
    ("named", "known"),
    [
        ("482910365577", UNREAD),
        ("482910365577", state()),
        (None, state(accounts=frozenset({"482910365577"}), regions=frozenset({"us-east-1"}))),
    ],
)
def test_the_stacks_account_is_taken(named: str | None, known: PulumiState | Unread) -> None:
    refuse_foreign(TARGET, known, CALLER, named)


def test_another_partition_is_refused() -> None:
    caller = Identity(account="482910365577", arn="arn:aws-cn:iam::482910365577:user/ann")
    with pytest.raises(InputError, match="partition aws, the credentials in aws-cn"):
        refuse_foreign(TARGET, UNREAD, caller, "482910365577")


def test_a_protected_stack_is_refused() -> None:
    protected = Target(stack="prod", directory=Path(), marks=MARKS, protected=True)
    with pytest.raises(InputError, match="deletionProtection is true"):
        refuse_protected(protected, UNREAD)
    with pytest.raises(InputError, match="`protect` is on network"):
        refuse_protected(TARGET, state(protected=("network",)))
    refuse_protected(TARGET, state())


def _resource(type_: str, name: str, id_: str, **more: Any) -> dict[str, Any]:
    return {"urn": f"urn:pulumi:dev::gpu-slices::{type_}::{name}", "type": type_, "custom": True, "id": id_, **more}


def test_a_state_tells_account_region_and_what_it_knows() -> None:
    arn = "arn:aws:ec2:us-east-1:482910365577:vpc/vpc-1"
    foreign = "arn:aws:iam::aws:policy/AmazonEKSWorkerNodePolicy"
    resources = [
        {"urn": "urn:pulumi:dev::gpu-slices::pulumi:pulumi:Stack::gpu-slices-dev", "type": "pulumi:pulumi:Stack"},
        _resource("pulumi:providers:aws", "aws", "p-1"),
        _resource("aws:ec2/vpc:Vpc", "network", "vpc-1", outputs={"arn": arn}, protect=True),
        _resource("aws:iam/rolePolicyAttachment:RolePolicyAttachment", "a", "a-1", outputs={"policyArn": foreign}),
        _resource("kubernetes:core/v1:Namespace", "n", "examples"),
        _resource("aws:ec2/vpc:Vpc", "shared", "vpc-9", external=True),
    ]
    found = parse_state({"version": 3, "deployment": {"resources": resources}})
    assert found == PulumiState(
        resources=4,
        accounts=frozenset({"482910365577"}),
        regions=frozenset({"us-east-1"}),
        names=frozenset({"vpc-1", arn, "a-1"}),
        protected=("network",),
    )
    assert parse_state({"version": 3, "deployment": {}}) == state()


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ('echo \'{"version": 3, "deployment": {}}\'', state()),
        ("echo 'error: no stack named dev found' >&2; exit 255", Unread("no stack named dev found")),
        ("echo nonsense", Unread("`pulumi stack export` printed something else than JSON")),
        ("printf '\\377\\376'", Unread("`pulumi stack export` printed something else than JSON")),
        ("printf 'no \\377' >&2; exit 1", Unread("no \ufffd")),
        (
            "head -c 200000 /dev/zero | tr '\\0' '['",
            Unread("`pulumi stack export` printed something else than JSON"),
        ),
        ("echo '[]'", Unread("`pulumi stack export` printed no state: the export must be an object, not a list")),
        ("exit 1", Unread("pulumi ended with status 1")),
    ],
)
def test_the_state_is_asked_of_pulumi(
    script: str, expected: PulumiState | Unread, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "pulumi"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert read_state(tmp_path, "dev") == expected


URN = "urn:pulumi:dev::gpu-slices::aws:ec2/vpc:Vpc::network"


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ([], "the export must be an object, not a list"),
        (None, "the export must be an object, not null"),
        ("deployment", "the export must be an object, not text"),
        ({"deployment": []}, "the export.deployment must be an object, not a list"),
        ({"deployment": {"resources": {}}}, "deployment.resources must be a list, not an object"),
        ({"deployment": {"resources": [3]}}, "deployment.resources[0] must be an object, not a number"),
        ({"deployment": {"resources": [{"urn": URN}]}}, "deployment.resources[0].type is missing"),
        ({"deployment": {"resources": [{"type": "a:b:C"}]}}, "deployment.resources[0].urn is missing"),
        ({"deployment": {"resources": [{"type": 1, "urn": URN}]}}, "resources[0].type must be text, not a number"),
        ({"deployment": {"resources": [{"type": "a", "urn": True}]}}, "urn must be text, not true or false"),
        ({"deployment": {"resources": [{"type": "a", "urn": URN, "id": []}]}}, "id must be text, not a list"),
        ({"deployment": {"resources": [{"type": "a", "urn": URN, "outputs": "s3cr3t"}]}}, "outputs must be an object"),
    ],
)
def test_an_export_that_is_no_state_is_unread_and_says_where(document: Any, words: str) -> None:
    found = parse_state(document)
    assert isinstance(found, Unread)
    assert found.reason.startswith("`pulumi stack export` printed no state: ")
    assert words in found.reason
    assert "s3cr3t" not in found.reason


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(max_size=3),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["deployment", "resources", "type", "urn", "id", "outputs", "arn"]), inner
            )
        ),
    )
)
def test_no_document_is_a_traceback(document: Any) -> None:
    assert isinstance(parse_state(document), PulumiState | Unread)
    assert isinstance(parse_state({"deployment": {"resources": [document]}}), PulumiState | Unread)


def test_without_pulumi_the_state_is_unread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert read_state(tmp_path, "dev") == UNREAD


def project(directory: Path, stack_file: str, name: str = "gpu-slices") -> Path:
    (directory / "Pulumi.yaml").write_text(f"name: {name}\nruntime: python\n")
    (directory / "Pulumi.dev.yaml").write_text(stack_file)
    return directory


def test_a_file_that_is_wrong_elsewhere_names_its_stack_all_the_same(tmp_path: Path) -> None:
    text = "config: {aws:region: us-east-1, gpu-slices:pools: nonsense, gpu-slices:cluster: {version: '1.2'}}"
    found = read_target(project(tmp_path, text), "dev")
    assert found.marks == MARKS
    assert not found.protected


def test_the_clusters_own_name_and_protection_are_read(tmp_path: Path) -> None:
    cluster = json.dumps({"name": "ml", "deletionProtection": True})
    found = read_target(project(tmp_path, f"config: {{aws:region: eu-west-1, gpu-slices:cluster: {cluster}}}"), "dev")
    assert found.marks == Marks(stack="dev", cluster="ml", region="eu-west-1")
    assert found.protected


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("config: {}", "aws:region is missing"),
        ("config: {aws:region: [us-east-1]}", "is no region"),
        ("config: {aws:region: {secure: v1:abc}}", "is no region"),
        ("config: {aws:region: us-east-1, gpu-slices:cluster: {name: 'a*'}}", "no name of a cluster"),
        ("config: {aws:region: us-east-1, gpu-slices:cluster: {deletionProtection: 'yes'}}", "must be true or false"),
        ("config: {aws:region: us-east-1, gpu-slices:cluster: {secure: v1:abc}}", "can be read"),
        ("config: {aws:region: us-east-1, gpu-slices:cluster: {existing: prod}}", "would find what is others'"),
        ("config: {aws:region: us-east-1, gpu-slices:serving: {secure: v1:abc}}", "names the door's record"),
        ("config: {aws:region: us-east-1, gpu-slices:serving: {door: []}}", "names the door's record"),
        (
            "config: {aws:region: us-east-1, gpu-slices:serving: {door: {domain: 7, hostedZoneId: Z1}}}",
            "serving.door.domain = 7",
        ),
    ],
)
def test_a_file_that_does_not_name_its_stack_is_refused(text: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=words):
        read_target(project(tmp_path, text), "dev")


@pytest.mark.parametrize(
    ("door", "expected"),
    [
        ({"domain": "chat.gpu-slices.dev", "hostedZoneId": "Z012"}, DoorRecord("Z012", "dialogue.chat.gpu-slices.dev")),
        ({"domain": "chat.gpu-slices.dev"}, None),
        (None, None),
    ],
)
def test_the_doors_record_is_read(door: Any, expected: DoorRecord | None, tmp_path: Path) -> None:
    serving = json.dumps({"replicas": "nonsense", "door": door})
    text = f"config: {{aws:region: us-east-1, gpu-slices:serving: {serving}}}"
    assert read_target(project(tmp_path, text), "dev").marks.door == expected
    assert DIALOGUE_HOST == SERVICE


def test_another_project_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not gpu-slices"):
        read_target(project(tmp_path, "config: {aws:region: us-east-1}", name="other"), "dev")


@pytest.mark.parametrize(
    ("step", "command"),
    [
        (
            Step(Call("ec2", "delete_volume"), {"VolumeId": "vol-1"}),
            "aws ec2 delete-volume --region us-east-1 --volume-id vol-1",
        ),
        (
            Step(Call("ecr", "delete_repository"), {"repositoryName": "c/dialogue", "force": True}),
            "aws ecr delete-repository --region us-east-1 --repository-name c/dialogue --force",
        ),
        (
            Step(Call("events", "remove_targets"), {"Rule": "c-spot", "Ids": ["1", "it's"]}),
            "aws events remove-targets --region us-east-1 --rule c-spot --ids 1 'it'\"'\"'s'",
        ),
    ],
)
def test_commands_for_a_shell(step: Step, command: str) -> None:
    assert step.command("us-east-1") == command
