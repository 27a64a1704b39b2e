"""What is written for Checkov, and what `slices judge` reads, has the names and blocks of the AWS provider's schema.

A misspelt argument would not fail the scan: Checkov would judge as if it were not there. And a block that is read under
another name than Pulumi's would be judged as if it were absent. Terraform and the provider are not installed by this
project. Where they are absent the test skips; where they are, nothing is fetched.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, get_args

import pytest
from pulumi._types import input_type_types, is_input_type

from plan.record import Recording
from policy.analyzer import judge
from policy.inventory.terraform import named
from policy.sources.program import Program
from policy.sources.read import parse
from tests.plan.conftest import STACKS
from tests.plan.variants import varied
from tools.terraform import MAIN_FILE, terraform_document
from tools.terraform_cli import AWS, find_terraform
from tools.terraform_shapes import TARGET, arguments_of

#: What stays wrong by the schema: block, word of the message, and why.
ACCEPTED: Final = (
    ("resource.aws_eks_cluster.cluster", '"role_arn"', "the component makes the cluster's role itself"),
    ("resource.aws_eks_cluster.cluster", '"deletion_protection"', "only providers since 6 know it"),
)


@pytest.fixture(scope="module")
def terraform(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Callable[..., str]]:
    """A folder in which the AWS provider is ready, and what runs Terraform there and gives its output."""
    folder = tmp_path_factory.mktemp("terraform")
    found = find_terraform(folder)
    if found is None:
        pytest.skip("Terraform and its AWS provider are not on this machine")

    def run(*arguments: str) -> str:
        command = [found.program, *arguments]
        done = subprocess.run(
            command, cwd=folder, env=found.environment, capture_output=True, text=True, check=False, timeout=240
        )
        if arguments[0] == "init":
            assert done.returncode == 0, done.stderr
        return done.stdout

    (folder / "providers.tf.json").write_text(
        json.dumps({"terraform": {"required_providers": {"aws": {"source": "hashicorp/aws"}}}})
    )
    run("init", "-input=false", "-no-color")
    return folder, run


@pytest.fixture(scope="module")
def validated(terraform: tuple[Path, Callable[..., str]]) -> Callable[[Recording], list[str]]:
    """Judges a recording: what is wrong with it by the provider's schema."""
    folder, run = terraform

    def judge(recording: Recording) -> list[str]:
        (folder / MAIN_FILE).write_text(json.dumps(terraform_document(recording), indent=2))
        return [text for found in json.loads(run("validate", "-json"))["diagnostics"] if (text := _unaccepted(found))]

    return judge


def _unaccepted(found: dict[str, Any]) -> str:
    where = str((found.get("snippet") or {}).get("context") or "")
    what = f"{found['summary']}: {found['detail']}"
    accepted = any(where == block and word in what for block, word, _ in ACCEPTED)
    return "" if accepted or found["severity"] != "error" else f"{where}: {what}"


@pytest.mark.parametrize("stack", STACKS)
def test_every_stack_is_right_by_the_schema(
    stack: str, recorded: Callable[[str], Recording], validated: Callable[[Recording], list[str]]
) -> None:
    assert validated(recorded(stack)) == []


def test_a_stack_with_everything_is_right_by_the_schema(validated: Callable[[Recording], list[str]]) -> None:
    assert validated(varied("everything")) == []


# --- What `slices judge` reads ----------------------------------------------------------------------------------------

#: Arguments that Pulumi's provider, which is made of a newer one than is on some machines, calls otherwise or has not:
#: gone with a later version, or of no matter to any rule.
GONE: Final = {
    "aws_batch_compute_environment": {"compute_environment_name", "compute_environment_name_prefix"},
    "aws_eip": {"vpc"},
    "aws_elastic_beanstalk_environment": {"version_label"},
    "aws_flow_log": {"log_group_name"},
    "aws_instance": {"cpu_core_count", "cpu_threads_per_core"},
    "aws_launch_template": {"elastic_gpu_specifications", "elastic_inference_accelerator"},
    "aws_spot_instance_request": {"block_duration_minutes", "cpu_core_count", "cpu_threads_per_core"},
}
#: A list of one in Terraform that is a text in Pulumi; no rule reads it.
FLATTENED: Final = {"aws_fsx_lustre_file_system.subnet_ids"}


def test_what_is_read_of_terraform_has_pulumis_names_and_shapes(terraform: tuple[Path, Callable[..., str]]) -> None:
    _, run = terraform
    schemas = json.loads(run("providers", "schema", "-json"))["provider_schemas"][AWS]["resource_schemas"]
    table = json.loads(TARGET.read_text(encoding="utf-8"))
    compared, wrong = 0, []
    for type_, (token, shape) in ((type_, table[type_]) for type_ in table if type_.startswith("aws_")):
        assert type_ in schemas, f"{token} is not {type_} in Terraform"
        for key, problem in _misread(schemas[type_]["block"], arguments_of(token), shape):
            compared += 1
            if problem and key not in GONE.get(type_, ()) and f"{type_}.{key}" not in FLATTENED:
                wrong.append(f"{type_}: {key} {problem}")
    assert wrong == []
    assert compared > 700


def _misread(block: dict[str, Any], arguments: type | None, shape: Any) -> Iterator[tuple[str, str]]:
    """Every argument of a block, and how it is read otherwise than Pulumi has it; empty where it is right."""
    names = input_type_types(arguments) if arguments else {}
    for key, attribute in block.get("attributes", {}).items():
        if (attribute.get("optional") or attribute.get("required")) and key not in ("id", "tags_all"):
            name, inner = named(key, shape)
            many = isinstance(attribute["type"], list) and attribute["type"][0] in ("list", "set")
            known = "" if name in names else "is no input of Pulumi's"
            yield key, known or ("" if many == isinstance(inner, list) else f"as {name} is no list in one of both")
    for key, nested in block.get("block_types", {}).items():
        if key == "timeouts":
            continue
        name, inner = named(key, shape)
        single = nested["nesting_mode"] == "single" or nested.get("max_items") == 1
        if name not in names or single != isinstance(inner, dict) or inner is False:
            yield key, f"as {name} has another shape in Pulumi"
            continue
        yield key, ""
        deeper = inner if single else inner[0] if inner else {}
        yield from _misread(nested["block"], _object_in(names[name]), deeper)


def _object_in(type_: Any) -> type | None:
    """The input type inside lists and unions."""
    if isinstance(type_, type) and is_input_type(type_):
        return type_
    return next((found for part in get_args(type_) if (found := _object_in(part))), None)


CONFIGURATION: Final = """{
  "provider": {"aws": {
    "region": "us-east-1", "access_key": "a", "secret_key": "b", "skip_credentials_validation": true,
    "skip_requesting_account_id": true, "skip_metadata_api_check": true, "default_tags": {"tags": {"team": "x"}}
  }},
  "resource": {
    "aws_kms_key": {"data": {"enable_key_rotation": true}},
    "aws_eks_cluster": {"main": {
      "name": "c", "role_arn": "arn:aws:iam::111122223333:role/x", "version": "1.30",
      "enabled_cluster_log_types": ["api", "audit", "authenticator", "controllerManager", "scheduler"],
      "vpc_config": {"subnet_ids": ["subnet-1"], "endpoint_public_access": true},
      "encryption_config": {"provider": {"key_arn": "${aws_kms_key.data.arn}"}, "resources": ["secrets"]}
    }},
    "aws_launch_template": {"gpu": {
      "instance_type": "g5.xlarge", "metadata_options": {"http_tokens": "optional"},
      "instance_market_options": {"market_type": "spot"}
    }},
    "aws_eks_node_group": {"gpu": {
      "cluster_name": "c", "node_role_arn": "arn:aws:iam::111122223333:role/x", "subnet_ids": ["subnet-1"],
      "launch_template": {"id": "${aws_launch_template.gpu.id}", "version": "1"},
      "scaling_config": {"min_size": 0, "max_size": 3, "desired_size": 0},
      "taint": [{"key": "nvidia.com/gpu", "effect": "NO_SCHEDULE"}]
    }}
  }
}"""


def test_a_plan_of_terraforms_own_is_judged_as_its_configuration(terraform: tuple[Path, Callable[..., str]]) -> None:
    """What nobody wrote and the provider fills in is unknown in a plan, and must not be said to be wrong."""
    folder, run = terraform
    (folder / MAIN_FILE).write_text(CONFIGURATION)
    run("plan", "-input=false", "-out", "plan.bin")
    planned = parse(run("show", "-json", "plan.bin"), "plan.json")
    written = parse(CONFIGURATION, MAIN_FILE)
    assert planned is not None
    assert written is not None

    def said(program: Program) -> set[tuple[str, str, str]]:
        places = {resource.urn: program.place(resource.urn) for resource in program.resources}
        return {
            (verdict.rule, place.address or "", verdict.message)
            for verdict in judge(program.resources)
            if (place := places.get(verdict.urn or ""))
        }

    rules = {rule for rule, _, _ in said(planned)}
    assert {"eks-supported-version", "eks-endpoint-allowlist", "node-imdsv2"} <= rules
    assert "kms-rotation" not in rules
    assert said(planned) == said(written)
