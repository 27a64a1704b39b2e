"""Manifests, and the directories they are written to."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from plan.errors import InputError
from plan.export_dir import MARKER, write_directory
from plan.manifests import manifest_files, write_manifests
from tests.unit.cli.projects import record_program

CLUSTER = """
    import pulumi, pulumi_kubernetes as k8s
    provider = k8s.Provider("cluster", kubeconfig="{}")
    def late(*needs):
        return pulumi.ResourceOptions(provider=provider, depends_on=list(needs))
    # Written backwards: the order in the files must come from what depends on what.
    space = k8s.core.v1.Namespace("space", metadata={"name": "models"}, opts=late())
    crds = k8s.helm.v3.Release("crds", name="pools-crd", chart="oci://example.com/pools-crd", version="1.2.3",
                               namespace="kube-system", opts=late(space))
    release = k8s.helm.v3.Release("pools", name="pools", chart="pools", version="1.2.3", namespace="models",
                                  create_namespace=True, skip_crds=True, values={"replicas": 2, "text": "a\\nb"},
                                  repository_opts={"repo": "https://charts.example.com"}, opts=late(crds))
    pool = k8s.apiextensions.CustomResource("pool", api_version="karpenter.sh/v1", kind="NodePool",
                                            metadata={"name": "gpu"}, spec={"limits": {"cpu": 4}}, opts=late(release))
    k8s.core.v1.Secret("login", metadata={"namespace": "models"}, opts=late(pool),
                       string_data={"password": pulumi.Output.secret("hunter2"), "script": "one\\ntwo"})
"""

# --- Manifests --------------------------------------------------------------------------------------------------------


def test_objects_are_numbered_in_the_order_of_application(tmp_path: Path) -> None:
    files = dict(manifest_files(record_program(tmp_path, CLUSTER)))
    assert [name.rpartition("-login")[0] or name for name in files] == [
        "001-namespace-models.yaml",
        "002-helm-pools-crd.values.yaml",
        "003-helm-pools.values.yaml",
        "004-nodepool-gpu.yaml",
        "005-secret",
    ]


def test_objects_are_whole_and_readable(tmp_path: Path) -> None:
    files = dict(manifest_files(record_program(tmp_path, CLUSTER)))
    pool = files["004-nodepool-gpu.yaml"]
    assert yaml.safe_load(pool) == {
        "apiVersion": "karpenter.sh/v1",
        "kind": "NodePool",
        "metadata": {"name": "gpu"},
        "spec": {"limits": {"cpu": 4}},
    }
    assert [line.split(":")[0] for line in pool.splitlines() if not line.startswith(" ")] == [
        "apiVersion",
        "kind",
        "metadata",
        "spec",
    ]


def test_objects_without_a_name_get_the_one_that_pulumi_would_make_up(tmp_path: Path) -> None:
    files = dict(manifest_files(record_program(tmp_path, CLUSTER)))
    (text,) = [text for name, text in files.items() if "secret" in name]
    assert yaml.safe_load(text)["metadata"]["name"].startswith("login-")
    assert len(yaml.safe_load(text)["metadata"]["name"]) == len("login-") + 8


def test_secrets_are_not_written(tmp_path: Path) -> None:
    files = dict(manifest_files(record_program(tmp_path, CLUSTER)))
    assert "hunter2" not in "".join(files.values())
    (text,) = [text for name, text in files.items() if "secret" in name]
    # A secret in a map makes the whole map secret: Pulumi joins its values to one output.
    assert yaml.safe_load(text)["stringData"] == {"password": "<secret>", "script": "<secret>"}


def test_a_release_is_its_values_and_the_command_that_installs_it(tmp_path: Path) -> None:
    values = dict(manifest_files(record_program(tmp_path, CLUSTER)))["003-helm-pools.values.yaml"]
    assert values.splitlines()[0] == (
        "# helm upgrade --install pools pools --repo https://charts.example.com --version 1.2.3 --namespace models "
        "--create-namespace --skip-crds --values 003-helm-pools.values.yaml"
    )
    assert yaml.safe_load(values) == {"replicas": 2, "text": "a\nb"}
    assert "text: |" in values


def test_objects_that_only_a_provider_knows_are_refused(tmp_path: Path) -> None:
    program = """
        import pulumi_kubernetes as k8s
        k8s.yaml.v2.ConfigGroup("group", yaml="kind: Secret")
    """
    with pytest.raises(InputError, match="ConfigGroup group: only its provider knows"):
        list(manifest_files(record_program(tmp_path, program)))


# --- Directories ------------------------------------------------------------------------------------------------------


def content(directory: Path) -> dict[str, str]:
    return {
        str(path.relative_to(directory)): path.read_text()
        for path in directory.rglob("*")
        if path.is_file() and path.name != MARKER
    }


@pytest.mark.parametrize("before", ["missing", "empty", "missing parent"])
def test_a_directory_is_filled(tmp_path: Path, before: str) -> None:
    target = tmp_path / "a" / "out" if before == "missing parent" else tmp_path / "out"
    if before == "empty":
        target.mkdir()
    write_directory(target, {"x.yaml": "1", "sub/y.yaml": "2"})
    assert content(target) == {"x.yaml": "1", "sub/y.yaml": "2"}


def test_an_earlier_export_is_replaced_whole(tmp_path: Path) -> None:
    target = tmp_path / "out"
    write_directory(target, {"old.yaml": "1", "sub/y.yaml": "2"})
    write_directory(target, {"new.yaml": "3"})
    assert content(target) == {"new.yaml": "3"}
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("with_marker", [False, True])
def test_files_of_others_are_left_alone(tmp_path: Path, with_marker: bool) -> None:
    target = tmp_path / "out"
    if with_marker:
        write_directory(target, {"ours.yaml": "1"})
    target.mkdir(exist_ok=True)
    (target / "theirs.txt").write_text("keep")
    before = content(target)
    with pytest.raises(InputError, match=r"such as theirs\.txt"):
        write_directory(target, {"new.yaml": "2"})
    assert content(target) == before
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_file_is_no_directory(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("keep")
    with pytest.raises(InputError, match="is a file"):
        write_directory(tmp_path / "out", {})
    with pytest.raises(InputError, match="cannot write"):
        write_directory(tmp_path / "out" / "below", {})


def test_a_failed_write_leaves_nothing(tmp_path: Path) -> None:
    target = tmp_path / "out"
    write_directory(target, {"old.yaml": "1"})
    with pytest.raises(InputError, match="cannot write"):
        write_directory(target, {"new.yaml": "2", "new.yaml/below": "a file cannot hold a file"})
    assert content(target) == {"old.yaml": "1"}
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_link_to_a_directory_is_followed(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "out").symlink_to("real")
    write_directory(tmp_path / "out", {"x.yaml": "1"})
    assert (tmp_path / "out").is_symlink()
    assert content(tmp_path / "real") == {"x.yaml": "1"}


def test_manifests_refuse_before_they_write(tmp_path: Path) -> None:
    (tmp_path / "p").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "notes.md").write_text("mine")
    with pytest.raises(InputError):
        write_manifests(record_program(tmp_path / "p", CLUSTER), tmp_path / "out")
    assert content(tmp_path / "out") == {"notes.md": "mine"}
