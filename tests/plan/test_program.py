"""The whole program, run by `runpy` for each stack as the language host runs it, under mocks that record."""

import json
import re
import runpy
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pulumi
import pulumi.runtime
import pytest
import yaml
from moto.iam.aws_managed_policies import aws_managed_policies_data

from gpu.standing import INTERFACE_SERVICES
from plan.project import find_project, load_stack
from plan.record import Recording as Plan
from tests.plan.conftest import ROOT, STACKS, owned
from tests.plan.longest import longest
from tests.plan.variants import varied
from tests.unit.components.recording import Recording, record

URNS = Path(__file__).parent / "data"


def run_program(stack: str, monkeypatch: pytest.MonkeyPatch, *, preview: bool, **values: Any) -> Recording[Any]:
    """Run `__main__.py` for a stack; `values` replace configuration keys of the project."""
    config = dict(load_stack(find_project(ROOT), stack).values)
    config |= {f"gpu-slices:{key}": json.dumps(value) for key, value in values.items()}
    config = owned(config)
    monkeypatch.setenv("PULUMI_CONFIG", json.dumps(config))
    monkeypatch.chdir(ROOT)

    def program() -> Any:
        pulumi.runtime.set_all_config(config)
        return runpy.run_path(str(ROOT / "__main__.py"), run_name="__main__")

    return record(program, preview=preview, stack=stack)


@cache
def ran(stack: str, *, preview: bool) -> Recording[Any]:
    """The run of a stack as it stands in the repository, made once a session."""
    with pytest.MonkeyPatch.context() as patch:
        return run_program(stack, patch, preview=preview)


@pytest.mark.parametrize("preview", [True, False], ids=["preview", "up"])
@pytest.mark.parametrize("stack", STACKS)
def test_the_program_runs_with_and_without_known_outputs(stack: str, preview: bool) -> None:
    recording = ran(stack, preview=preview)
    assert len(recording.of_type("kubernetes:karpenter.sh/v1:NodePool")) >= 3
    recording.one("eks:index:Cluster")


@pytest.mark.parametrize("stack", STACKS)
def test_a_preview_registers_what_an_update_registers(stack: str) -> None:
    def urns(*, preview: bool) -> set[str]:
        return {resource.urn for resource in ran(stack, preview=preview).resources}

    assert urns(preview=True) == urns(preview=False)


@pytest.mark.parametrize("stack", STACKS)
def test_every_resource_names_its_provider(stack: str) -> None:
    recording = ran(stack, preview=False)
    for resource in recording.resources:
        package = resource.type.partition(":")[0]
        if package in ("aws", "kubernetes"):
            expected = recording.one(f"pulumi:providers:{package}").urn
            assert resource.provider == expected, resource.urn
        if package == "eks":
            assert recording.one("pulumi:providers:aws").urn in resource.providers.values()


@pytest.mark.parametrize("stack", STACKS)
def test_outputs_hand_out_access_slots_and_prices(stack: str, recorded: Callable[[str], Plan]) -> None:
    outputs = recorded(stack).outputs
    known = {"kubeconfig", "updateKubeconfigCommand", "pools", "modelUrls", "nextSteps"}
    sums = [f"{name}UsdPerMonth" for name in ("idleFloor", "low", "expected", "high", "ceiling")]
    assert set(outputs) == {*known, *sums}, "none of ours has a page, and so no dialogueUrl"
    user = json.loads(outputs["kubeconfig"])["users"][0]["user"]
    assert set(user) == {"exec"}
    assert user["exec"]["command"] == "aws"
    name = f"gpu-slices-{stack}"
    assert outputs["updateKubeconfigCommand"] == (
        f"aws eks update-kubeconfig --region us-east-1 --name {name} --alias {name}"
    )
    assert outputs["modelUrls"]["llama2"] == "http://llama2.models.svc.cluster.local"
    assert outputs["nextSteps"][0] == outputs["updateKubeconfigCommand"]
    assert 200 < outputs["idleFloorUsdPerMonth"] < 1500
    in_order = [outputs[name] for name in sums]
    assert in_order == sorted(in_order), "each holds the one before it"
    assert all(pool["maxSlots"] > 0 and pool["usdPerSlotHour"] > 0 for pool in outputs["pools"])


@pytest.mark.parametrize("stack", STACKS)
def test_plugin_overlay_limit_and_output_agree_on_the_slots(stack: str, recorded: Callable[[str], Plan]) -> None:
    recording = recorded(stack)
    releases = [r for r in recording.of_type("kubernetes:helm.sh/v3:Release") if r.inputs["chart"].startswith("nvidia")]
    texts = {name: text for r in releases for name, text in r.inputs["values"]["config"]["map"].items()}
    configs = {name: yaml.safe_load(text) for name, text in texts.items()}
    assert len(configs) == len(releases)
    overlays = recording.of_type("kubernetes:karpenter.sh/v1alpha1:NodeOverlay")
    pools = {p.inputs["metadata"]["name"]: p.inputs for p in recording.of_type("kubernetes:karpenter.sh/v1:NodePool")}
    for output in recording.outputs["pools"]:
        name, resource, slots = output["name"], output["resource"], int(output["slotsPerGpu"])
        labels = pools[name]["spec"]["template"]["metadata"]["labels"]
        (sharing,) = configs[labels["nvidia.com/device-plugin.config"]].get("sharing", {"mig": None}).values()
        if sharing:
            assert sharing["resources"] == [{"name": "nvidia.com/gpu", "replicas": slots}]
        (own,) = [o.inputs for o in overlays if o.inputs["spec"]["requirements"][0]["values"] == [name]]
        (gpus,) = own["spec"]["requirements"][1]["values"]
        assert own["spec"]["capacity"][resource] == str(int(gpus) * slots)
        assert pools[name]["spec"]["limits"][resource] == str(int(output["maxSlots"]))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"pools": []}, "gpu-slices:pools = []"),
        ({"poools": [{"name": "x"}]}, "did you mean pools?"),
        ({"cluster": {"version": "1.33"}}, 'gpu-slices:cluster.version = "1.33"'),
    ],
)
def test_a_bad_configuration_registers_nothing(
    values: dict[str, Any], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    registered: list[str] = []
    original = pulumi.Resource.__init__

    def spy(self: pulumi.Resource, *args: Any, **kwargs: Any) -> None:
        registered.append(str(args[0]))
        original(self, *args, **kwargs)

    monkeypatch.setattr(pulumi.Resource, "__init__", spy)
    with pytest.raises(pulumi.RunError) as raised:
        run_program("dev", monkeypatch, preview=True, **values)
    assert message in str(raised.value)
    assert [type_ for type_ in registered if type_ != "pulumi:pulumi:Stack"] == []


@pytest.mark.parametrize("stack", STACKS)
def test_urns_are_stable(stack: str, recorded: Callable[[str], Plan]) -> None:
    """A changed URN replaces the resource. If that is meant, give it an alias and write the file anew.

    `python -m tests.plan.test_program` writes the files.
    """
    assert _urns(recorded(stack)) == (URNS / f"urns-{stack}.txt").read_text().splitlines()


def _urns(plan: Plan) -> list[str]:
    return sorted(resource.urn.partition("::gpu-slices::")[2] for resource in plan.resources)


if __name__ == "__main__":
    from tests.plan.conftest import _recording

    for each in STACKS:
        (URNS / f"urns-{each}.txt").write_text("".join(f"{urn}\n" for urn in _urns(_recording(each))))


def test_the_memory_of_a_large_cpu_pool_does_not_stop_it_before_its_cpus() -> None:
    (limits,) = [
        pool.inputs["spec"]["limits"]
        for pool in varied("a large CPU pool").of_type("kubernetes:karpenter.sh/v1:NodePool")
        if pool.inputs["metadata"]["name"] == "large"
    ]
    assert limits == {"cpu": "1000", "memory": "4000Gi"}


def test_every_interface_endpoint_is_of_a_service_that_somebody_here_may_call() -> None:
    """Somebody: pods with Pod Identity and nodes. AWS' own policies are those that moto has from AWS."""
    plan = longest("secret")
    services: set[str] = set()
    for statement in _granted(plan):
        actions = statement.get("Action", [])
        services |= {action.partition(":")[0] for action in ([actions] if isinstance(actions, str) else actions)}
    called = {service.partition(".")[0] for service in INTERFACE_SERVICES}
    assert len(called) > 5
    assert called <= services


def _granted(plan: Plan) -> Iterator[dict[str, Any]]:
    """Statements of the policies of every role that a node or a pod takes."""
    roles = {
        role.name
        for role in plan.of_type("aws:iam/role:Role")
        if re.search(r'"(ec2|pods\.eks)\.amazonaws\.com"', role.inputs["assumeRolePolicy"])
    }
    policies = {policy.urn: policy.inputs["policy"] for policy in plan.of_type("aws:iam/policy:Policy")}
    managed = json.loads(aws_managed_policies_data)
    for attachment in plan.of_type("aws:iam/rolePolicyAttachment:RolePolicyAttachment"):
        if any(role in attachment.inputs["role"] for role in roles):
            arn = attachment.inputs["policyArn"]
            if arn in plan.values:
                yield from json.loads(policies[plan.values[arn][0]])["Statement"]
            else:
                yield from managed[arn.rpartition("/")[2]]["Document"]["Statement"]
