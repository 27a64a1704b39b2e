"""Programs of all tools are read as the same resources, and judged alike."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import pytest

from policy import document
from policy.analyzer import UNKNOWN, Recorded, Verdict, judge
from policy.sources.program import Program, SourceError
from policy.sources.read import parse, read
from tests.day import TODAY
from tests.policy.sources import samples

KINDS: Final[Mapping[str, Callable[[], Any]]] = {
    "Pulumi preview": samples.preview,
    "Pulumi event log": samples.events,
    "Pulumi state": samples.state,
    "Terraform plan": samples.terraform_plan,
    "Terraform state": samples.terraform_state,
    "Terraform state file": samples.terraform_state_file,
    "Terraform configuration": samples.terraform_configuration,
}


def parsed(document: Any, file: str = "given.json") -> Program:
    text = document if isinstance(document, str) else json.dumps(document)
    program = parse(text, file)
    assert program is not None
    return program


def verdicts(program: Program) -> list[Verdict]:
    return judge(program.resources, today=TODAY)


def broken(program: Program) -> set[tuple[str, str]]:
    """Rules and the kinds of what breaks them."""
    return {(verdict.rule, verdict.type.rpartition(":")[2]) for verdict in verdicts(program)}


def only(program: Program, type_: str) -> Recorded:
    (found,) = [resource for resource in program.resources if resource.type == type_]
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_program_breaks_the_same_rules_whoever_wrote_it(kind: str) -> None:
    expected = broken(parsed(samples.preview()))
    assert len(expected) > 15
    assert {"Cluster", "NodeGroup", "LaunchTemplate", "Role", "Key", "NodePool", "Deployment"} <= {
        kind for _, kind in expected
    }
    program = parsed(KINDS[kind]())
    assert program.kinds == [kind.removesuffix(" file")]
    assert broken(program) == expected


def test_people_are_told_of_every_tool_that_is_read(tmp_path: Path) -> None:
    tools = {kind.partition(" ")[0] for kind in KINDS} | {"Kubernetes", "CloudFormation"}
    foreign = tmp_path / "a.yaml"
    foreign.write_text("just: data\n")
    with pytest.raises(SourceError) as told:
        read([str(foreign)])
    page = document.TARGET.read_text(encoding="utf-8")
    for tool in tools:
        assert tool in str(told.value)
        assert f"\n| {tool} |" in page


def test_the_objects_alone_break_the_rules_about_objects() -> None:
    preview = samples.preview()
    preview["steps"] = [step for step in preview["steps"] if step["urn"].endswith(("::gpu", "::model"))]
    expected = broken(parsed(preview))
    assert {"NodePool", "Deployment"} == {kind for _, kind in expected}
    assert broken(parsed(samples.manifests(), "objects.yaml")) == expected


# --- Pulumi -----------------------------------------------------------------------------------------------------------


def test_what_a_preview_takes_away_is_not_judged() -> None:
    preview = samples.preview()
    for step in preview["steps"]:
        step["op"] = "delete"
    assert parsed(preview).resources == []


def test_a_preview_says_what_it_does_not_show() -> None:
    preview = samples.preview()
    preview["changeSummary"]["same"] = 7
    del preview["steps"][0]["newState"]
    said = [unseen.what for unseen in parsed(preview).unseen]
    assert said[0].startswith("steps that tell no new state: 1")
    assert "do not change: 7; `pulumi preview --json --show-sames`" in said[1]


def test_a_replacement_is_judged_once_by_its_last_step() -> None:
    preview = samples.preview()
    first = preview["steps"][0]
    later = {
        **first,
        "op": "create-replacement",
        "newState": {**first["newState"], "inputs": {"enableKeyRotation": True}},
    }
    preview["steps"].append(later)
    assert only(parsed(preview), "aws:kms/key:Key").inputs == {"enableKeyRotation": True}


@pytest.mark.parametrize(
    ("written", "read_as"),
    [
        ("[secret]", UNKNOWN),
        ({samples.SIGNATURE: samples.SECRET, "ciphertext": "x"}, UNKNOWN),
        ({samples.SIGNATURE: samples.SECRET, "plaintext": '{"a": [1]}'}, {"a": [1]}),
        ({samples.SIGNATURE: samples.SECRET, "plaintext": "{"}, UNKNOWN),
        ({samples.SIGNATURE: samples.SECRET, "plaintext": "[" * 5000}, UNKNOWN),
        ({samples.SIGNATURE: samples.SECRET, "value": "plain"}, "plain"),
        ({samples.SIGNATURE: "5cf8f73096256a8f31e491e813e4eb8e", "id": "key-1", "urn": "u"}, "key-1"),
        ({samples.SIGNATURE: "5cf8f73096256a8f31e491e813e4eb8e", "urn": "u"}, "u"),
        ({samples.SIGNATURE: "d0e6a833031e9bbcd3f4e8bde6ca49a4", "value": 3}, 3),
        ({samples.SIGNATURE: "d0e6a833031e9bbcd3f4e8bde6ca49a4"}, UNKNOWN),
        ({samples.SIGNATURE: ["odd"]}, UNKNOWN),
        ({samples.SIGNATURE: "c44067f5952c0a294b673a41bacd8c17", "path": "/dev/zero"}, UNKNOWN),
        ({samples.SIGNATURE: "0def7320c3a5731c473e5ecbe6d01bc7", "assets": 3}, UNKNOWN),
    ],
)
def test_values_of_a_state_are_what_a_policy_is_given(written: Any, read_as: Any) -> None:
    resource = {"urn": "urn:pulumi:a::b::x:y:Z::n", "type": "x:y:Z", "inputs": {"deep": [{"value": written}]}}
    program = parsed({"deployment": {"resources": [resource]}})
    assert program.resources[0].inputs == {"deep": [{"value": read_as}]}
    verdicts(program)


def test_a_state_gives_parents_and_dependencies_and_leaves_out_what_is_not_its_own() -> None:
    urn = "urn:pulumi:a::b::aws:kms/key:Key::n"
    resources = [
        {"urn": urn, "type": "aws:kms/key:Key", "parent": "urn:p", "dependencies": ["urn:d"], "outputs": {"arn": "a"}},
        {"urn": f"{urn}2", "type": "aws:kms/key:Key", "delete": True},
        {"urn": f"{urn}3", "type": "aws:kms/key:Key", "external": True},
        {"urn": 7},
    ]
    checkpoint = {"version": 3, "checkpoint": {"stack": "a", "latest": {"resources": resources}}}
    program = parsed(checkpoint)
    (found,) = program.resources
    assert (found.parent, found.dependencies, found.outputs, found.name) == ("urn:p", ("urn:d",), {"arn": "a"}, "n")
    assert [(unseen.what, unseen.broken) for unseen in program.unseen] == [
        ("is only read, and belongs to others", False),
        ("a resource without URN or type", True),
    ]


# --- Terraform --------------------------------------------------------------------------------------------------------


def test_what_the_provider_fills_in_is_not_written() -> None:
    """A plan marks both as unknown: what nobody wrote, and what depends on another resource."""
    program = parsed(samples.terraform_plan())
    group = only(program, "aws:eks/nodeGroup:NodeGroup")
    assert group.inputs == samples.CLOUD[2][1]
    assert group.dependencies == (only(program, "aws:ec2/launchTemplate:LaunchTemplate").urn,)


def test_an_unknown_value_in_a_block_that_the_configuration_does_not_show_counts() -> None:
    plan = samples.terraform_plan()
    for declared in plan["configuration"]["root_module"]["resources"]:
        declared["expressions"].pop("launch_template", None)
    assert only(parsed(plan), "aws:eks/nodeGroup:NodeGroup").inputs["launchTemplate"]["id"] == UNKNOWN


def test_modules_are_gone_through_by_their_own_configuration() -> None:
    plan = samples.terraform_plan()
    root, configuration = plan["planned_values"]["root_module"], plan["configuration"]["root_module"]
    address = 'module.a["x.module.b"].module.c[0]'
    for resource, change in zip(root["resources"], plan["resource_changes"], strict=True):
        resource["address"] = change["address"] = f"{address}.{resource['address']}"
    child = {"address": address, "resources": root.pop("resources")}
    root["child_modules"] = [{"address": 'module.a["x.module.b"]', "child_modules": [child]}]
    inner = {"module": {"resources": configuration.pop("resources")}}
    configuration["module_calls"] = {"a": {"module": {"module_calls": {"c": inner}}}}
    program = parsed(plan)
    group = only(program, "aws:eks/nodeGroup:NodeGroup")
    assert group.inputs == samples.CLOUD[2][1]
    assert group.dependencies
    place = program.place(group.urn)
    assert place is not None
    assert place.address == f"{address}.aws_eks_node_group.it"


def test_what_a_sum_is_made_of_is_named_by_address() -> None:
    """Modules of Terraform's registry call each of their resources `this`."""
    groups = [
        {
            "address": f'module.eks.module.groups["{name}"].aws_eks_node_group.this[0]',
            "mode": "managed",
            "type": "aws_eks_node_group",
            "name": "this",
            "values": {"instance_types": ["g6.xlarge"], "capacity_type": "SPOT", "scaling_config": [{"max_size": 9}]},
        }
        for name in ("chat", "search")
    ]
    program = parsed({"format_version": "1.2", "planned_values": {"root_module": {"resources": groups}}})
    (ceiling,) = [found.message for found in verdicts(program) if found.rule == "gpu-ceiling-per-stack"]
    assert all(f"9 of NodeGroup {each['address']}" in ceiling for each in groups)


def test_tags_of_the_provider_count() -> None:
    values = {"tags": None, "tags_all": {"team": "x"}}
    resource = {"address": "aws_kms_key.k", "mode": "managed", "type": "aws_kms_key", "name": "k", "values": values}
    program = parsed({"format_version": "1.0", "values": {"root_module": {"resources": [resource]}}})
    assert program.resources[0].inputs == {"tags": {"team": "x"}}
    configured = parsed({"provider": {"aws": {"default_tags": {"tags": {"team": "x"}}}}, "resource": {}})
    assert configured.resources[0].inputs == {"defaultTags": {"tags": {"team": "x"}}}


@pytest.mark.parametrize(
    ("written", "read_as"),
    [
        ("${var.x}", UNKNOWN),
        ("a-${var.x}", UNKNOWN),
        ("%{ if var.x }a%{ endif }", UNKNOWN),
        ("arn:aws:s3:::$${aws:username}", "arn:aws:s3:::${aws:username}"),
        ("plain", "plain"),
    ],
)
def test_an_expression_is_not_known(written: str, read_as: str) -> None:
    program = parsed({"resource": [{"aws_kms_key": {"k": [{"description": written}]}}]})
    assert program.resources[0].inputs == {"description": read_as}


@pytest.mark.parametrize(
    ("type_", "token"),
    [
        ("aws_db_instance", "aws:rds/instance:Instance"),
        ("aws_alb", "aws:lb/loadBalancer:LoadBalancer"),
        ("aws_ec2_host", "aws:ec2/dedicatedHost:DedicatedHost"),
        ("aws_budgets_budget", "aws:budgets/budget:Budget"),
        ("aws_subnet", "aws:subnet/subnet:Subnet"),
        ("awscc_eks_nodegroup", "aws-native:eks:Nodegroup"),
        ("google_container_cluster", "gcp:index:ContainerCluster"),
    ],
)
def test_types_have_pulumis_names(type_: str, token: str) -> None:
    program = parsed({"resource": {type_: {"it": {"some_key": [{"inner_key": 1}], "tags": {"a_b": "c"}}}}})
    assert program.resources[0].type == token
    assert program.resources[0].inputs == {"someKey": [{"innerKey": 1}], "tags": {"a_b": "c"}}


def test_what_a_release_is_given_is_merged_as_helm_does() -> None:
    release = {
        "chart": "c",
        "repository": "https://charts.example",
        "values": ["a: {b: 1, c: 2}\n", "a: {b: null}\nx: [1]\n"],
        "set": [
            {"name": "nodeSelector.kubernetes\\.io/arch", "value": "arm64"},
            {"name": "args[1]", "value": "true"},
            {"name": "list[0].n", "value": "3"},
            {"name": "a.c", "value": "7", "type": "string"},
            {"name": "[0]", "value": "refused"},
            {"name": 7, "value": "refused"},
        ],
        "set_sensitive": [{"name": "password", "value": "hidden"}],
    }
    program = parsed({"resource": {"helm_release": {"r": release}}})
    assert program.resources[0].type == "kubernetes:helm.sh/v3:Release"
    assert program.resources[0].inputs == {
        "chart": "c",
        "repositoryOpts": {"repo": "https://charts.example"},
        "values": {
            "a": {"c": "7"},
            "x": [1],
            "nodeSelector": {"kubernetes.io/arch": "arm64"},
            "args": [None, True],
            "list": [{"n": 3}],
            "password": UNKNOWN,
        },
    }
    unknown = parsed({"resource": {"helm_release": {"r": {"values": ['${file("x")}']}}}})
    assert unknown.resources[0].inputs == {"values": UNKNOWN}


def test_what_terraform_hides_is_said() -> None:
    hidden = {
        "module": {"nodes": {"source": "./nodes"}},
        "resource": {
            "kubectl_manifest": {
                "a": {"yaml_body": '${file("a")}'},
                "b": {"yaml_body": "a: ["},
                "c": {"yaml_body": "a"},
            },
            "kubernetes_secret_v1": {"d": {}},
            "kubernetes_config_map": {"e": {}},
        },
    }
    said = {str(unseen.place): unseen for unseen in parsed(hidden, "m.tf.json").unseen}
    assert "not known" in said["m.tf.json: kubectl_manifest.a"].what
    assert said["m.tf.json: kubectl_manifest.b"].broken
    assert "no object" in said["m.tf.json: kubectl_manifest.c"].what
    assert "terraform show -json" in said["m.tf.json: module.nodes"].what
    assert said["m.tf.json"].what.startswith("kubernetes_secret_v1, 1 of them")


TYPED: Final[dict[str, Any]] = {
    "metadata": [{"name": "model", "namespace": "models", "labels": None, "generate_name": None}],
    "wait_for_rollout": True,
    "spec": [
        {
            "replicas": "1",
            "selector": [{"match_labels": {"app_kind": "model"}, "match_expressions": []}],
            "template": [
                {
                    "metadata": [{"labels": {"app_kind": "model"}}],
                    "spec": [
                        {
                            "host_ipc": True,
                            "node_selector": {"a_b/c": "d"},
                            "toleration": [{"key": "nvidia.com/gpu", "operator": "Exists"}],
                            "volume": [
                                {"name": "v", "empty_dir": [{"medium": "", "size_limit": None}], "host_path": []}
                            ],
                            "security_context": [
                                {"run_as_non_root": True, "seccomp_profile": [{"type": "Unconfined"}]}
                            ],
                            "affinity": [
                                {
                                    "node_affinity": [
                                        {
                                            "required_during_scheduling_ignored_during_execution": [
                                                {
                                                    "node_selector_term": [
                                                        {"match_expressions": [{"key": "k", "values": ["v"]}]}
                                                    ]
                                                }
                                            ]
                                        }
                                    ]
                                }
                            ],
                            "container": [
                                {
                                    "name": "model",
                                    "env": [{"name": "A_B", "value": "c", "value_from": []}],
                                    "resources": [{"limits": {"nvidia.com/gpu": "2"}, "requests": {}}],
                                    "security_context": [{"capabilities": [{"drop": ["ALL"], "add": []}]}],
                                    "volume_mount": [{"mount_path": "/x", "name": "v"}],
                                }
                            ],
                        }
                    ],
                }
            ],
        }
    ],
}


@pytest.mark.parametrize("type_", ["kubernetes_priority_class", "kubernetes_priority_class_v1"])
def test_a_priority_class_of_terraform_is_one(type_: str) -> None:
    """By it `gpu-critical-off-spot` knows critical pods."""
    values = {"metadata": [{"name": "vip", "labels": {"gpu-slices/importance": "critical"}}], "value": 1000}
    resource = {"address": f"{type_}.m", "mode": "managed", "type": type_, "name": "m", "values": values}
    program = parsed({"format_version": "1.0", "values": {"root_module": {"resources": [resource]}}})
    found = only(program, "kubernetes:scheduling.k8s.io/v1:PriorityClass")
    assert found.inputs["metadata"] == values["metadata"][0]  # type: ignore[index]


@pytest.mark.parametrize("type_", ["kubernetes_deployment", "kubernetes_deployment_v1"])
def test_a_typed_object_of_terraform_is_kubernetes_own(type_: str) -> None:
    resource = {"address": f"{type_}.m", "mode": "managed", "type": type_, "name": "m", "values": TYPED}
    program = parsed({"format_version": "1.0", "values": {"root_module": {"resources": [resource]}}})
    found = only(program, "kubernetes:apps/v1:Deployment")
    term = {"matchExpressions": [{"key": "k", "values": ["v"]}]}
    assert found.inputs == {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "model", "namespace": "models"},
        "waitForRollout": True,
        "spec": {
            "replicas": "1",
            "selector": {"matchLabels": {"app_kind": "model"}},
            "template": {
                "metadata": {"labels": {"app_kind": "model"}},
                "spec": {
                    "hostIPC": True,
                    "nodeSelector": {"a_b/c": "d"},
                    "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists"}],
                    "volumes": [{"name": "v", "emptyDir": {"medium": ""}}],
                    "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "Unconfined"}},
                    "affinity": {
                        "nodeAffinity": {
                            "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]}
                        }
                    },
                    "containers": [
                        {
                            "name": "model",
                            "env": [{"name": "A_B", "value": "c"}],
                            "resources": {"limits": {"nvidia.com/gpu": "2"}, "requests": {}},
                            "securityContext": {"capabilities": {"drop": ["ALL"]}},
                            "volumeMounts": [{"mountPath": "/x", "name": "v"}],
                        }
                    ],
                },
            },
        },
    }
    assert ("k8s-pod-security", "Deployment") in broken(program)


# --- Kubernetes, and folders ------------------------------------------------------------------------------------------


def test_each_object_stands_at_its_line() -> None:
    text = (
        "# first\n---\n"
        + samples.manifests()
        + "---\napiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Pod}\n"
    )
    program = parsed(text, "a.yaml")
    lines = text.splitlines()
    for resource in program.resources:
        place = program.place(resource.urn)
        assert place is not None
        assert place.line is not None
        here = lines[place.line - 1 :]
        assert any(resource.type.rpartition(":")[2] in line for line in here[:2]), place
    assert [resource.type for resource in program.resources] == [
        "kubernetes:karpenter.sh/v1:NodePool",
        "kubernetes:apps/v1:Deployment",
        "kubernetes:core/v1:Pod",
    ]


def test_lists_in_json_are_opened() -> None:
    listed = {"apiVersion": "v1", "kind": "List", "items": list(samples.OBJECTS)}
    assert broken(parsed(json.dumps(listed, indent="\t"))) == broken(parsed(samples.manifests()))
    assert broken(parsed(json.dumps(listed, indent=1))) == broken(parsed(samples.manifests()))


def test_a_template_of_cloudformation_is_judged_as_its_stack() -> None:
    template = """
        Resources:
          Nodes:
            Type: AWS::EKS::Nodegroup
            Properties: {InstanceTypes: [g5.xlarge], NodeRole: !GetAtt Role.Arn}
    """
    program = parsed(template, "nodes.yaml")
    assert {verdict.rule for verdict in verdicts(program)} >= {"gpu-on-demand-needs-justification"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "a.yaml").write_text(samples.manifests())
    (tmp_path / "b.yaml").write_text("just: data\n")
    (tmp_path / "main.tf").write_text('resource "aws_kms_key" "k" {}\n')
    (tmp_path / "Pulumi.yaml").write_text("name: x\nruntime: python\n")
    (tmp_path / "chart" / "templates").mkdir(parents=True)
    (tmp_path / "chart" / "Chart.yaml").write_text("name: c\n")
    (tmp_path / "chart" / "templates" / "a.yaml").write_text("{{ x }}")
    (tmp_path / "overlay").mkdir()
    (tmp_path / "overlay" / "kustomization.yaml").write_text("patches: [{path: ./p.yaml}]\nresources: [r.yaml]\n")
    (tmp_path / "overlay" / "p.yaml").write_text("apiVersion: apps/v1\nkind: Deployment\nspec: {}\n")
    (tmp_path / "overlay" / "r.yaml").write_text("apiVersion: v1\nkind: ConfigMap\n")
    for foreign in (".terraform", "node_modules"):
        (tmp_path / foreign).mkdir()
        (tmp_path / foreign / "a.yaml").write_text("a: [")
    return tmp_path


def test_a_folder_gives_its_objects_and_says_what_it_hides(folder: Path) -> None:
    program = read([str(folder)])
    assert [resource.type.rpartition(":")[2] for resource in program.resources] == [
        "NodePool",
        "Deployment",
        "ConfigMap",
    ]
    said = {Path(unseen.place.file).relative_to(folder).as_posix(): unseen.what for unseen in program.unseen[:3]}
    assert "pulumi preview --json" in said["Pulumi.yaml"]
    assert "helm template" in said["chart"]
    assert "kubectl kustomize" in said["overlay/kustomization.yaml"]
    rest = {Path(unseen.place.file).relative_to(folder).as_posix(): unseen.what for unseen in program.unseen[3:]}
    assert {name: what[:30] for name, what in rest.items()} == {
        "main.tf": "Terraform's own language is no",
        "b.yaml": "is YAML or JSON, and none of w",
    }
    assert not any(unseen.broken for unseen in program.unseen)


def test_what_is_wrong_in_a_folder_is_said_and_the_rest_is_judged(folder: Path) -> None:
    (folder / "broken.yaml").write_text("a: 1\nb: [\n")
    (folder / "template.yaml").write_text("a: {{ .b }}: c\n")
    (folder / "empty.yaml").write_text("")
    (folder / "link.yaml").symlink_to("link.yaml")
    program = read([str(folder)])
    said = {Path(unseen.place.file).name: unseen for unseen in program.unseen}
    assert "(line 3)" in said["broken.yaml"].what
    assert said["broken.yaml"].broken
    assert said["link.yaml"].broken
    assert "is a template" in said["template.yaml"].what
    assert not said["template.yaml"].broken
    assert "empty.yaml" not in said
    assert len(program.resources) == 3


def test_a_folder_with_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="holds no YAML or JSON"):
        read([str(tmp_path)])
