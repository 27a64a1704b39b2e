"""NVIDIA's own chart, rendered by Helm with our values: pools have nothing to do with each other.

The chart lies in the sources of the pinned version. Helm itself is built from its Go module: see `tests.gotools`.
"""

from __future__ import annotations

import functools
import json
import subprocess
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
import yaml

import versions
from components.gpu.gpu_pool import node_labels
from components.gpu.gpu_sharing import NAMESPACE, GpuSharingArgs, device_plugin_values, release_name
from gpu.catalog import types_in
from gpu.naming import MAX_NAME
from gpu.pool import Pool
from gpu.prices import of
from gpu.sharing import MemoryClaims, Mig, Mps, NoSharing, SharingProfile, TimeSlicing
from tests.gotools import HELM, device_plugin_dir, tool
from twin.play.node_selection import selected

pytestmark = pytest.mark.go

Objects = Mapping[tuple[str, str], dict[str, Any]]

POOLS: dict[str, SharingProfile] = {
    "dev": TimeSlicing(3),
    "chat": Mps(4),
    "chat-two": Mps(2, rename=True),
    "tenants": Mig("1g.10gb"),
    "whole": NoSharing(),
}
#: Names as long as a stack file allows, which only differ at their ends.
LONG = {f"{'m' * (MAX_NAME - 1)}{end}": Mps(3) for end in "ab"}
#: What happens to a stack on its second day.
CHANGES: dict[str, dict[str, SharingProfile]] = {
    "a pool is added": {**POOLS, "more": Mps(8)},
    "a pool is removed": {name: profile for name, profile in POOLS.items() if name != "dev"},
    "a pool is shared otherwise": {**POOLS, "dev": Mps(5)},
}


def resolved(name: str) -> Pool:
    """The pool of that name."""
    types = types_in(names=["p5.48xlarge"]) if isinstance(POOLS[name], Mig) else types_in(["g6"])
    return Pool(name=name, profile=POOLS[name], types=types, max_gpus=8, prices=of("us-east-1"))


@functools.cache
def render(release: str, values: str) -> Objects:
    """Objects of the chart by kind and name."""
    chart = device_plugin_dir() / "deployments/helm/nvidia-device-plugin"
    command = [str(tool(*HELM)), "template", release, str(chart), "--namespace", NAMESPACE]
    settings = ["--kube-version", versions.EKS_DEFAULT_VERSION, "--values", "-"]
    done = subprocess.run([*command, *settings], input=values, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    objects = [each for each in yaml.safe_load_all(done.stdout) if each]
    assert len({(each["kind"], each["metadata"]["name"]) for each in objects}) == len(objects)
    return {(each["kind"], each["metadata"]["name"]): each for each in objects}


def rendered(profiles: Mapping[str, SharingProfile], untrusted: tuple[str, ...] = ()) -> dict[str, Objects]:
    """The objects of each pool's release."""
    args = GpuSharingArgs(profiles=profiles, untrusted=untrusted)
    return {pool: render(release_name(pool), json.dumps(device_plugin_values(pool, args))) for pool in profiles}


def daemon_sets(objects: Objects) -> dict[str, dict[str, Any]]:
    return {name: each for (kind, name), each in objects.items() if kind == "DaemonSet"}


@pytest.mark.parametrize("change", CHANGES)
def test_what_happens_to_one_pool_restarts_nothing_of_another(change: str) -> None:
    before, after = rendered(POOLS), rendered(CHANGES[change])
    untouched = [pool for pool, profile in POOLS.items() if CHANGES[change].get(pool) == profile]
    assert len(untouched) >= 4
    for pool in untouched:
        assert daemon_sets(after[pool]) == daemon_sets(before[pool])
        assert after[pool] == before[pool]


@pytest.mark.parametrize("after", [Mps(5), Mps(4, rename=True), TimeSlicing(4), NoSharing()])
def test_another_cut_of_a_pool_restarts_neither_its_plugin_nor_its_daemon(after: SharingProfile) -> None:
    """Their pods read the configuration that their node's label names when they start: nodes that run keep theirs."""
    releases = [rendered({"chat": profile})["chat"] for profile in (Mps(4), after)]
    sets = [daemon_sets(objects) for objects in releases]
    assert set(sets[0]) == {"plugin-chat", "plugin-chat-mps-control-daemon"}
    assert sets[0] == sets[1]
    names = [list(each["data"]) for objects in releases for (kind, _), each in objects.items() if kind == "ConfigMap"]
    assert len(names) == 2
    assert names[0] != names[1]


@pytest.mark.parametrize("pools", [POOLS, LONG], ids=["short names", "long names"])
def test_releases_have_no_object_in_common(pools: dict[str, SharingProfile]) -> None:
    """Cluster roles and their bindings have no namespace: two releases with one name would fight over them."""
    seen: dict[tuple[str, str], str] = {}
    for pool, objects in rendered(pools).items():
        assert len(daemon_sets(objects)) == 2
        assert len(release_name(pool)) <= 53
        for kind, name in objects:
            assert len(name) <= 63 or kind.startswith("ClusterRole")
            assert seen.setdefault((kind, name), pool) == pool


def test_pods_of_a_release_are_selected_by_no_other() -> None:
    for pool, objects in rendered(POOLS).items():
        for daemon_set in daemon_sets(objects).values():
            selector = daemon_set["spec"]["selector"]["matchLabels"]
            assert selector["app.kubernetes.io/instance"] == release_name(pool)


@pytest.mark.parametrize("pool", POOLS)
def test_pods_run_on_the_nodes_of_their_pool_alone(pool: str) -> None:
    labels = {name: node_labels(resolved(name), "trusted") for name in POOLS}
    sets = daemon_sets(rendered(POOLS)[pool])
    plugin = sets[release_name(pool)]["spec"]["template"]["spec"]
    daemon = sets[f"{release_name(pool)}-mps-control-daemon"]["spec"]["template"]["spec"]
    assert [name for name in POOLS if _runs(plugin, labels[name])] == [pool]
    assert [name for name in POOLS if _runs(daemon, labels[name])] == [pool] * isinstance(POOLS[pool], Mps)


def _runs(pod: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    return selected(labels, pod["nodeSelector"], pod["affinity"])


@pytest.mark.parametrize("before", [TimeSlicing(3), Mps(4), MemoryClaims()])
@pytest.mark.parametrize("after", [TimeSlicing(4), Mps(2)])
def test_a_pool_that_came_from_claims_has_nodes_whose_gpus_are_no_plugin_s(
    before: SharingProfile, after: SharingProfile
) -> None:
    """By the pool's label it would go there, and without a configuration's take the only one that it has."""
    labels = node_labels(replace(resolved("dev"), profile=before), "trusted") | {"nvidia.com/mps.capable": "true"}
    sets = daemon_sets(rendered({"dev": after})["dev"])
    assert len(sets) == 2
    for each in sets.values():
        assert _runs(each["spec"]["template"]["spec"], labels) is not isinstance(before, MemoryClaims)


@pytest.mark.parametrize("pool", POOLS)
def test_the_configuration_is_the_one_that_the_node_s_label_names(pool: str) -> None:
    objects = rendered(POOLS)[pool]
    (config_map,) = [each for (kind, _), each in objects.items() if kind == "ConfigMap"]
    assert list(config_map["data"]) == [node_labels(resolved(pool), "trusted")["nvidia.com/device-plugin.config"]]


@pytest.mark.parametrize("pool", ["tenants", "whole"])
def test_the_plugin_itself_still_sees_all_gpus_of_a_node_that_listens_to_mounts(pool: str) -> None:
    """Such a node ignores NVIDIA_VISIBLE_DEVICES of pods without CAP_SYS_ADMIN; the plugin asks for `all` by it."""
    plugin = daemon_sets(rendered(POOLS, untrusted=(pool,))[pool])[release_name(pool)]
    (container,) = [c for c in plugin["spec"]["template"]["spec"]["containers"] if c["name"].endswith("-ctr")]
    assert {"name": "NVIDIA_VISIBLE_DEVICES", "value": "all"} in container["env"]
    assert container["securityContext"]["capabilities"]["add"] == ["SYS_ADMIN"]
    # The configuration file says how devices are handed out; the chart must not say it again by a variable.
    assert "DEVICE_LIST_STRATEGY" not in {each["name"] for each in container["env"]}
