"""Every Knative object of every stack against Knative's own definitions, config maps and manifests.

They come from the sources of the pinned version. Some stacks are varied, so that every source of weights, the door and
a shared server are among what is judged.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from plan.record import Recording
from policy.pod_security import LEVELS
from tests.plan import knative
from tests.plan.conftest import STACKS
from tests.plan.knative import SERVICE, SERVING
from tests.plan.variants import VARIANTS, varied

pytestmark = pytest.mark.go


@pytest.fixture(params=[*STACKS, *VARIANTS])
def plan(request: pytest.FixtureRequest, recorded: Callable[[str], Recording]) -> Recording:
    name = str(request.param)
    return recorded(name) if name in STACKS else varied(name)


def services(plan: Recording) -> list[dict[str, Any]]:
    return [copy.deepcopy(dict(resource.inputs)) for resource in plan.of_type(SERVICE)]


def serving(plan: Recording) -> dict[str, Any]:
    (found,) = plan.of_type(SERVING)
    return copy.deepcopy(dict(found.inputs))


def pods(plan: Recording) -> Iterator[dict[str, Any]]:
    for service in services(plan):
        yield service["spec"]["template"]["spec"]


def test_services_are_valid(plan: Recording) -> None:
    assert {s["metadata"]["name"]: found for s in services(plan) if (found := knative.service_problems(s))} == {}


def test_the_installation_is_valid(plan: Recording) -> None:
    assert knative.problems(knative.serving_schema(), serving(plan)) == []


def flag_problems(objects: list[dict[str, Any]], installation: dict[str, Any]) -> list[str]:
    """Flags that services use and nobody enables, and flags that are enabled and that nothing uses."""
    written = installation["spec"]["config"].get("features", {})
    defaults = {flag for flag, value in knative.config_maps()["features"].items() if value == "enabled"}
    enabled = {flag for flag, value in written.items() if value == "enabled"}
    used = set().union(*(knative.flags_of(each) for each in objects))
    return [f"{flag} is used but off" for flag in sorted(used - enabled - defaults)] + [
        f"{flag} is on but not used" for flag in sorted(enabled - used)
    ]


def test_every_flag_that_services_use_is_on_and_no_other(plan: Recording) -> None:
    assert flag_problems(services(plan), serving(plan)) == []


def test_each_missing_flag_is_noticed(plan: Recording) -> None:
    flags = serving(plan)["spec"]["config"]["features"]
    assert len(flags) >= 3
    for flag in flags:
        without = serving(plan)
        del without["spec"]["config"]["features"][flag]
        assert flag_problems(services(plan), without) == [f"{flag} is used but off"]


def test_all_stacks_together_use_every_flag_that_we_know(recorded: Callable[[str], Recording]) -> None:
    plans = [*(recorded(name) for name in STACKS), *(varied(name) for name in VARIANTS)]
    used = set().union(*(knative.flags_of(service) for plan in plans for service in services(plan)))
    assert {flag.removeprefix("kubernetes.podspec-") for flag in used} == {
        "affinity",
        "init-containers",
        "nodeselector",
        "persistent-volume-claim",
        "persistent-volume-write",
        "priorityclassname",
        "schedulername",
        "securitycontext",
        "tolerations",
        "volumes-emptydir",
        "volumes-image",
    }


def config_problems(installation: dict[str, Any]) -> list[str]:
    """Config maps and keys that Knative does not have. Keys of `domain` are domains."""
    known = knative.config_maps()
    found = []
    for name, values in installation["spec"]["config"].items():
        if name not in known:
            found.append(f"config-{name}")
        elif name != "domain":
            found += [f"config-{name}: {key}" for key in values if key not in known[name]]
        found += [f"config-{name}: {key} is no text" for key, value in values.items() if not isinstance(value, str)]
    return found


def test_every_config_key_is_one_of_knatives(plan: Recording) -> None:
    assert config_problems(serving(plan)) == []


def test_nothing_is_written_that_is_knatives_default_anyway(plan: Recording) -> None:
    known = knative.config_maps()
    config = serving(plan)["spec"]["config"]
    same = [f"{name}: {key}" for name in config for key, value in config[name].items() if known[name].get(key) == value]
    # Written all the same: `components.serving.knative_config` counts what queue-proxy requests.
    assert same == ["deployment: queue-sidecar-cpu-request"]


MUTATIONS: Mapping[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "a flag misspelt": (
        lambda config: config["features"].update({"kubernetes.podspec-gpu": "enabled"}),
        "config-features: kubernetes.podspec-gpu",
    ),
    "an older name of a key": (
        lambda config: config["network"].update({"ingress.class": "x"}),
        "config-network: ingress.class",
    ),
    "a map by its full name": (lambda config: config.update({"config-features": {}}), "config-config-features"),
    "a number": (
        lambda config: config["defaults"].update({"revision-timeout-seconds": 1200}),
        "config-defaults: revision-timeout-seconds is no text",
    ),
}


@pytest.mark.parametrize("name", MUTATIONS)
def test_wrong_configuration_is_noticed(name: str, recorded: Callable[[str], Recording]) -> None:
    mutate, expected = MUTATIONS[name]
    installation = serving(recorded("dev"))
    mutate(installation["spec"]["config"])
    assert config_problems(installation) == [expected]


FIELDS: Mapping[str, Callable[[dict[str, Any]], Any]] = {
    "a hook after the start": lambda pod: pod["containers"][0].update(lifecycle={"postStart": {}}),
    "a grace period": lambda pod: pod.update(terminationGracePeriodSeconds=30),
    "resource claims": lambda pod: pod.update(resourceClaims=[]),
    "a probe of an init container": lambda pod: pod["initContainers"][0].update(startupProbe={}),
    "a lifecycle of an init container": lambda pod: pod["initContainers"][0].update(lifecycle={}),
    "a priority": lambda pod: pod.update(priority=1),
    "a text for a number": lambda pod: pod.update(timeoutSeconds="1200"),
}


@pytest.mark.parametrize("name", FIELDS)
def test_fields_that_knative_does_not_have_are_noticed(name: str, recorded: Callable[[str], Recording]) -> None:
    (service,) = [s for s in services(recorded("dev")) if s["metadata"]["name"] == "mistral"]
    FIELDS[name](service["spec"]["template"]["spec"])
    assert knative.service_problems(service)


def test_flags_of_other_fields_would_be_noticed(recorded: Callable[[str], Recording]) -> None:
    (service,) = [s for s in services(recorded("dev")) if s["metadata"]["name"] == "mistral"]
    before = knative.flags_of(service)
    spec = service["spec"]["template"]["spec"]
    spec |= {"runtimeClassName": "nvidia", "hostIPC": True, "affinity": {}}
    spec["containers"][0]["securityContext"]["capabilities"]["add"] = ["SYS_NICE"]
    spec["volumes"].append({"name": "x", "persistentVolumeClaim": {"claimName": "x", "readOnly": False}})
    assert {flag.removeprefix("kubernetes.") for flag in knative.flags_of(service) - before} == {
        "podspec-runtimeclassname",
        "podspec-hostipc",
        "podspec-affinity",
        "containerspec-addcapabilities",
        "podspec-persistent-volume-write",
    }


def test_times_fit_into_each_other(plan: Recording) -> None:
    limits = serving(plan)["spec"]["config"]["defaults"]
    longest, default = int(limits["max-revision-timeout-seconds"]), int(limits["revision-timeout-seconds"])
    first_byte = int(limits["revision-response-start-timeout-seconds"])
    assert first_byte <= default <= longest
    for pod in pods(plan):
        # Knative's webhook refuses anything else (pkg/apis/serving/metadata_validation.go, v1/revision_validation.go).
        assert pod.get("responseStartTimeoutSeconds", first_byte) <= pod["timeoutSeconds"] <= longest


def test_what_is_changed_of_knatives_own_objects_exists(plan: Recording) -> None:
    spec = serving(plan)["spec"]
    deployments, jobs = knative.installed_of("Deployment"), knative.installed_of("Job")
    for workload in spec["workloads"]:
        found = {**deployments, **jobs}[workload["name"]]
        containers = [c["name"] for c in found["spec"]["template"]["spec"]["containers"]]
        assert {each["container"] for each in workload.get("resources", ())} <= set(containers)
    assert {w["name"] for w in spec["workloads"]} == {*deployments, *jobs}
    budgets = knative.installed_of("PodDisruptionBudget")
    assert {each["name"] for each in spec["podDisruptionBudgets"]} == set(budgets)
    names = {c["name"] for d in deployments.values() for c in d["spec"]["template"]["spec"]["containers"]}
    assert set(spec["registry"]["override"]) <= names


def test_requests_are_not_above_the_limits_that_stay(plan: Recording) -> None:
    deployments = knative.installed_of("Deployment")
    for workload in serving(plan)["spec"]["workloads"]:
        for ours in workload.get("resources", ()):
            pod = deployments[workload["name"]]["spec"]["template"]["spec"]
            (theirs,) = [c["resources"] for c in pod["containers"] if c["name"] == ours["container"]]
            assert mib(ours["requests"]["memory"]) <= mib(theirs["limits"]["memory"])
            assert mib(ours["requests"]["memory"]) >= mib(theirs["requests"]["memory"]) / 2


def mib(text: str) -> int:
    assert text.endswith("Mi")
    return int(text.removesuffix("Mi"))


def test_knatives_own_pods_keep_to_the_level_of_their_namespace() -> None:
    """The namespaces admit restricted pods only; this is what runs in them."""
    for name, each in {**knative.installed_of("Deployment"), **knative.installed_of("Job")}.items():
        spec = each["spec"]["template"]["spec"]
        assert [problem for level in LEVELS["restricted"] for problem in level(spec)] == [], name
