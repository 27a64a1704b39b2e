"""Whatever kubectl wrote is read, in whichever files it lies; what is broken is told, and the rest still read."""

from __future__ import annotations

import json
import os
import re
import time
from pathlib import Path

import pytest
import yaml

from adopt.cluster import _LISTED
from adopt.export import ExportError, read_export
from adopt.objects import name_of
from tests.commands import ROOT, commands
from tests.unit.adopt.cluster import by_hand, config_map, node_pool, pod, time_slicing, write


def names(folder: Path) -> list[str]:
    return sorted(f"{each['kind']} {name_of(each)}" for each in read_export(folder).found)


WHOLE = [*by_hand(), config_map("plugin", default=time_slicing(4)), {"apiVersion": "v1", "kind": "Secret", "data": {}}]


def test_a_list_documents_and_json_say_the_same(tmp_path: Path) -> None:
    as_list, as_documents, as_json, apart = (tmp_path / name for name in ("a", "b", "c", "d"))
    for folder in (as_list, as_documents, as_json, apart):
        folder.mkdir()
    write(as_list, WHOLE, "everything")
    (as_documents / "x.txt").write_text("# mine\n" + yaml.safe_dump_all(WHOLE, explicit_start=True))
    (as_json / "y").write_text(json.dumps({"kind": "List", "apiVersion": "v1", "items": WHOLE}, indent=1))
    for index, each in enumerate(WHOLE):
        (apart / f"{index}.yml").write_text(yaml.safe_dump(each))
    expected = names(as_list)
    assert len(expected) == len(WHOLE) - 1, "all but the Secret"
    assert names(as_documents) == names(as_json) == names(apart) == expected


def test_api_groups_tell_what_the_cluster_knows(tmp_path: Path) -> None:
    groups = [{"name": "karpenter.sh"}, {"name": "kyverno.io"}, {"name": None}, 3]
    write(tmp_path, [pod("web")])
    (tmp_path / "groups.json").write_text(json.dumps({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}))
    found = read_export(tmp_path)
    assert {"karpenter.sh", "kyverno.io"} <= found.groups
    assert found.unseen == []


def test_the_commands_of_the_page_export_all_that_is_read_through_a_kubeconfig() -> None:
    asked = [words for each in commands(ROOT / "docs" / "adopting.md") if "> export/" in (words := each)]
    named = set(re.split(r"[\s,;]+", " ".join(asked)))
    assert {f"{plural}.{group}" if "." in group else plural for group, plural, _ in _LISTED} - named == set(
        _OF_KUBERNETES
    )
    assert set(_OF_KUBERNETES.values()) <= named
    assert {"configmaps", "/apis", "version", "nodepools.karpenter.sh"} <= named


#: What is Kubernetes' own needs no group.
_OF_KUBERNETES = {
    f"{plural}.admissionregistration.k8s.io": plural
    for plural in ("validatingadmissionpolicies", "validatingwebhookconfigurations")
}


def test_a_list_in_which_values_stand_once_is_read(tmp_path: Path) -> None:
    """As tools write it that dump a list of their own: of values that are the same, one, and names of it elsewhere."""
    labels = {"team": "ml"}
    items = [{**node_pool(name), "metadata": {"name": name, "labels": labels}} for name in ("a", "b")]
    text = yaml.safe_dump({"apiVersion": "v1", "kind": "List", "items": items})
    assert "labels: *id" in text
    (tmp_path / "dump.yaml").write_text(text)
    found = read_export(tmp_path)
    assert [(name_of(each), each["metadata"]["labels"]) for each in found.found] == [("a", labels), ("b", labels)]
    assert found.unseen == []


def test_elements_of_a_list_of_one_kind_need_not_say_theirs(tmp_path: Path) -> None:
    items = [{key: value for key, value in node_pool().items() if key not in ("apiVersion", "kind")}]
    (tmp_path / "p.json").write_text(
        json.dumps({"kind": "NodePoolList", "apiVersion": "karpenter.sh/v1", "items": items})
    )
    assert names(tmp_path) == ["NodePool gpus"]


def test_what_two_files_hold_counts_once_as_it_was_read_last(tmp_path: Path) -> None:
    """An export beside an older one, or commands whose kinds overlap: nodes that stood twice were paid twice."""
    older = [{**node_pool(), "apiVersion": "karpenter.sh/v1beta1"}, pod("a"), pod("a", metadata={"namespace": "other"})]
    write(tmp_path, [*WHOLE, *older], "1")
    write(tmp_path, [*WHOLE, pod("a")], "2")
    (tmp_path / "3.json").write_text(json.dumps(node_pool()))
    assert len(names(tmp_path)) == len({*names(tmp_path)}) + 1, "two pods of one name, in two namespaces"
    (pool,) = (each for each in read_export(tmp_path).found if each["kind"] == "NodePool")
    assert pool["apiVersion"] == "karpenter.sh/v1"


def test_what_says_nothing_of_gpus_is_counted_and_not_read(tmp_path: Path) -> None:
    web = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web"}, "spec": {"containers": [{"name": "c"}]}}
    write(tmp_path, [web, web, pod("llm", "gpu-0"), config_map("mine", text="nothing")])
    found = read_export(tmp_path)
    assert [name_of(each) for each in found.found] == ["llm"]
    assert found.counts == {"Pod": 3, "ConfigMap": 1}


def test_a_single_file_and_the_servers_version(tmp_path: Path) -> None:
    path = tmp_path / "version.yaml"
    path.write_text("clientVersion: {gitVersion: v1.32.4}\nserverVersion:\n  gitVersion: v1.35.2-eks-1a2b3c4\n")
    assert read_export(path).kubernetes == "1.35"


def test_what_is_broken_is_told_and_the_rest_is_read(tmp_path: Path) -> None:
    write(tmp_path, [node_pool()], "good.yaml")
    (tmp_path / "half.yaml").write_text(
        "apiVersion: v1\nkind: Node\nmetadata: {name: [\n---\n" + yaml.safe_dump(pod("llm"))
    )
    (tmp_path / "latin.yaml").write_bytes(b"kind: Node\nname: \xff\n")
    (tmp_path / "deep.json").write_text("[" * 100_000)
    (tmp_path / "README.md").write_text("# kind: prose\n\nNo: YAML: at [all.\nkind: Pod\n")
    os.mkfifo(tmp_path / "pipe.yaml")
    found = read_export(tmp_path)
    assert sorted(name_of(each) for each in found.found) == ["gpus", "llm"]
    told = " | ".join(found.unseen)
    for words in (
        "half.yaml: not YAML",
        "latin.yaml: is not UTF-8",
        "deep.json: is nested too deep",
        "pipe.yaml: it is a named pipe",
    ):
        assert words in told
    assert "README" not in told


@pytest.mark.parametrize("content", ["", "hello\n", "a: 1\n", "[1, 2]"])
def test_a_folder_without_objects_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "x.yaml").write_text(content)
    with pytest.raises(ExportError, match="holds nothing that `kubectl get -o yaml` writes"):
        read_export(tmp_path)


@pytest.mark.parametrize("filled_in", ["{{ .Values.name }}", "x\n  ${indent(2, rest)}"])
def test_a_template_is_told_from_an_export(tmp_path: Path, filled_in: str) -> None:
    pool = node_pool()
    pool["spec"]["template"]["spec"]["nodeClassRef"]["name"] = "NAME"
    (tmp_path / "pool.yaml").write_text(yaml.safe_dump(pool).replace("NAME", filled_in))
    (tmp_path / "other.yaml").write_text(yaml.safe_dump(pod("llm")))
    (unseen,) = read_export(tmp_path).unseen
    assert "export what became of it" in unseen


def test_aliases_that_unfold_without_end_are_no_objects(tmp_path: Path) -> None:
    bomb = "apiVersion: v1\nkind: Node\na: &a [x, x, x, x, x, x, x, x, x, x]\n"
    bomb += "".join(f"{chr(98 + n)}: &{chr(98 + n)} [{', '.join([f'*{chr(97 + n)}'] * 10)}]\n" for n in range(7))
    (tmp_path / "bomb.yaml").write_text(bomb)
    with pytest.raises(ExportError, match="aliases make it too large"):
        read_export(tmp_path)


@pytest.mark.parametrize("form", ["yaml", "json"])
def test_a_large_cluster_takes_seconds(tmp_path: Path, form: str) -> None:
    """38,000 pods, of which some have GPUs: parsing all of the YAML would take minutes."""
    web = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "web", "namespace": "shop", "labels": {"app": "web"}},
        "spec": {"containers": [{"name": "c", "image": "nginx", "resources": {"requests": {"cpu": "1"}}}]},
        "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]},
    }
    gpus = [pod(f"llm-{number}", "gpu-0") for number in range(20)]
    if form == "yaml":
        item = "- " + yaml.safe_dump(web).replace("\n", "\n  ").rstrip(" ")
        gpu = ["- " + yaml.safe_dump(each).replace("\n", "\n  ").rstrip(" ") for each in gpus]
        (tmp_path / "pods").write_text("apiVersion: v1\nitems:\n" + item * 38_000 + "".join(gpu) + "kind: List\n")
    else:
        (tmp_path / "pods").write_text(json.dumps({"kind": "List", "items": [web] * 38_000 + gpus}))
    began = time.process_time()
    found = read_export(tmp_path)
    assert time.process_time() - began < 10
    assert (found.counts["Pod"], len(found.found)) == (38_020, 20)
