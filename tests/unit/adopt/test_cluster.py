"""A cluster is read through a kubeconfig by GET alone; what it refuses is told, and the rest is read."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from adopt.cluster import Access, ClusterError, read_cluster
from adopt.export import read_export
from adopt.inventory import inventory
from tests.unit.adopt.cluster import by_hand, config_map, plugin, time_slicing, write
from tests.unit.adopt.recording_api import kubeconfig, serving
from tests.unit.adopt.test_findings import PROVISIONER, TEMPLATE

pytestmark = [
    pytest.mark.parts,
    pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl, which speaks to clusters, is not here"),
]

ARN = "arn:aws:eks:eu-west-1:111122223333:cluster/theirs"
WHOLE = [
    *[each for each in by_hand() if each["kind"] != "DaemonSet"],
    plugin("configs", "default"),
    config_map("configs", default=time_slicing(4)),
]


#: Plurals of what Karpenter had before 0.32.
OLD = {"provisioners", "awsnodetemplates"}


def access(path: Path) -> Access:
    return Access(kubeconfig=str(path))


def test_nothing_but_get_is_sent_and_all_pages_come(tmp_path: Path) -> None:
    with serving(WHOLE) as api:
        objects = read_cluster(access(kubeconfig(tmp_path, api.url)))
    assert {method for method, _ in api.sent} == {"GET"}
    assert len(api.sent) > len(WHOLE) // 2
    assert objects.unseen == []
    assert objects.counts["Pod"] == 3
    assert objects.counts["Node"] == 5
    assert not [path for _, path in api.sent if "secrets" in path]


def test_a_cluster_and_its_export_are_the_same(tmp_path: Path) -> None:
    with serving(WHOLE) as api:
        asked = inventory(read_cluster(access(kubeconfig(tmp_path, api.url))))
    folder = tmp_path / "export"
    folder.mkdir()
    read = inventory(read_export(write(folder, WHOLE)))
    assert [vars(each) for each in asked.nodes] == [vars(each) for each in read.nodes]
    assert [(w.name, w.count) for w in asked.work] == [(w.name, w.count) for w in read.work]
    assert asked.pools[0].sharing == read.pools[0].sharing
    assert asked.karpenter == read.karpenter
    assert asked.node_classes == read.node_classes


def test_kinds_that_are_forbidden_are_told_and_the_rest_is_read(tmp_path: Path) -> None:
    with serving(WHOLE, frozenset({"NodeOverlay", "Pod"})) as api:
        objects = read_cluster(access(kubeconfig(tmp_path, api.url)))
    assert len(objects.unseen) == 2
    assert all("Forbidden" in each and "cannot list resource" in each for each in objects.unseen)
    assert {each.partition(":")[0] for each in objects.unseen} == {"pods", "nodeoverlays"}
    assert objects.counts["Node"] == 5


def test_a_server_that_knows_no_overlays_says_so(tmp_path: Path) -> None:
    with serving(WHOLE, unknown=frozenset({"NodeOverlay"})) as api:
        objects = read_cluster(access(kubeconfig(tmp_path, api.url)))
    assert (objects.unseen, objects.absent) == ([], {"nodeoverlays", *OLD})
    found = inventory(objects).karpenter
    assert found is not None
    assert not found.serves_overlays


def test_claims_and_their_templates_are_read(tmp_path: Path) -> None:
    """Else nobody knows that a pod's claim is of a network and not of a GPU."""
    kinds = ("DeviceClass", "ResourceClaim", "ResourceClaimTemplate")
    given = [{"apiVersion": "resource.k8s.io/v1", "kind": kind, "metadata": {"name": "net"}} for kind in kinds]
    with serving(given) as api:
        objects = read_cluster(access(kubeconfig(tmp_path, api.url)))
    assert [kind for kind in kinds if not objects.counts[kind]] == []


def test_provisioners_are_read_too(tmp_path: Path) -> None:
    """Their API is not the one that the server prefers; without a controller in sight they alone tell of Karpenter."""
    with serving([PROVISIONER, TEMPLATE]) as api:
        objects = read_cluster(access(kubeconfig(tmp_path, api.url)))
    there = inventory(objects)
    assert [pool.title for pool in there.pools] == ["Provisioner gpus"]
    assert there.karpenter is not None
    assert (there.karpenter.old_api, there.karpenter.before_v1beta1) == ("karpenter.sh/v1alpha5", True)
    assert next(objects.of("AWSNodeTemplate"))["metadata"]["name"] == "default"


def test_the_kubeconfig_of_eks_tells_name_and_region(tmp_path: Path) -> None:
    with serving([]) as api:
        objects = read_cluster(access(kubeconfig(tmp_path, api.url, name=ARN)))
    assert objects.names == {"region": "eu-west-1", "cluster": "theirs"}


def test_what_gets_the_token_may_not_be_there(tmp_path: Path) -> None:
    login = {
        "apiVersion": "client.authentication.k8s.io/v1beta1",
        "command": "no-such-login",
        "args": ["--region", "us-west-2", "eks", "get-token", "--cluster-name", "theirs"],
        "interactiveMode": "Never",
    }
    # Nobody is asked before there is a token, and none is got for a server without TLS.
    path = kubeconfig(tmp_path, "https://127.0.0.1:1", user={"exec": login})
    with pytest.raises(ClusterError, match=r"the cluster does not answer: .*no-such-login"):
        read_cluster(access(path))


@pytest.mark.parametrize(
    ("content", "words"),
    [("{[", "the kubeconfig does not do"), ("", "the kubeconfig does not do"), (None, "the kubeconfig does not do")],
)
def test_a_kubeconfig_that_is_none(tmp_path: Path, content: str | None, words: str) -> None:
    path = tmp_path / "kubeconfig"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ClusterError, match=words):
        read_cluster(access(path))


def test_nobody_listens(tmp_path: Path) -> None:
    with serving([]) as api:
        path = kubeconfig(tmp_path, api.url)
    with pytest.raises(ClusterError, match="the cluster does not answer"):
        read_cluster(access(path))


def test_without_kubectl_the_other_way_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ClusterError, match="--from DIR"):
        read_cluster(access(tmp_path / "kubeconfig"))
