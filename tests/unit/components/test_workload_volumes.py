"""Volumes of workloads: bound to claims of their own, under names that say what they are."""

from dataclasses import replace

import pytest

from components.gpu.gpu_workload import Security
from components.gpu.workload_volumes import BucketSource, ClaimSource, FileSystemSource
from tests.unit.components.gpu_workloads import recorded, template, workload


def test_buckets_and_file_systems_are_bound_to_claims_that_the_pods_wait_for() -> None:
    volumes = {
        "weights": BucketSource(bucket_name="acme-models"),
        "out": BucketSource(bucket_name="acme-out", read_only=False),
        "home": FileSystemSource(file_system_id="fs-0123456789abcdef0"),
        "team": FileSystemSource(file_system_id="fs-0123456789abcdef0", access_point_id="fsap-0123456789abcdef0"),
        "own": ClaimSource(claim_name="made-by-hand", read_only=True),
    }
    recording = recorded(workload(volumes=volumes, security=Security(group=2000)))
    made = {each.name.rpartition(".")[2]: each for each in recording.of_type("kubernetes:core/v1:PersistentVolume")}
    claims = {
        each.name.rpartition(".")[2]: each for each in recording.of_type("kubernetes:core/v1:PersistentVolumeClaim")
    }
    assert made.keys() == claims.keys() == {"weights", "out", "home", "team"}
    weights, out, home, team = (made[name].inputs["spec"] for name in ("weights", "out", "home", "team"))
    assert weights["csi"] == {
        "driver": "s3.csi.aws.com",
        "volumeHandle": made["weights"].inputs["metadata"]["name"],
        "volumeAttributes": {"bucketName": "acme-models"},
    }
    assert weights["mountOptions"] == ["allow-other", "uid=10001", "gid=2000", "read-only"]
    assert (weights["accessModes"], out["accessModes"]) == (["ReadOnlyMany"], ["ReadWriteMany"])
    assert "read-only" not in out["mountOptions"]
    assert home["csi"] == {"driver": "efs.csi.aws.com", "volumeHandle": "fs-0123456789abcdef0"}
    assert "mountOptions" not in home
    assert team["csi"]["volumeHandle"] == "fs-0123456789abcdef0::fsap-0123456789abcdef0"
    deployment = recording.one("kubernetes:apps/v1:Deployment")
    for name, claim in claims.items():
        metadata, volume = claim.inputs["metadata"], made[name]
        assert volume.inputs["spec"]["claimRef"] == {"namespace": "workloads", "name": metadata["name"]}
        assert claim.inputs["spec"]["volumeName"] == volume.inputs["metadata"]["name"]
        assert recording.outlives(volume, claim)
        assert recording.outlives(claim, deployment)
    named = {name: claim.inputs["metadata"]["name"] for name, claim in claims.items()}
    assert template(recording)["spec"]["volumes"][1:] == [
        {"name": "weights", "persistentVolumeClaim": {"claimName": named["weights"], "readOnly": True}},
        *({"name": name, "persistentVolumeClaim": {"claimName": named[name]}} for name in ("out", "home", "team")),
        {"name": "own", "persistentVolumeClaim": {"claimName": "made-by-hand", "readOnly": True}},
    ]


BUCKET = BucketSource(bucket_name="acme-models")


@pytest.mark.parametrize(
    ("source", "security"),
    [
        (replace(BUCKET, bucket_name="other"), Security()),
        (replace(BUCKET, read_only=False), Security()),
        # Files belong to the pods' user by an option of the mount.
        (BUCKET, Security(user=1000)),
        (FileSystemSource(file_system_id="fs-01234567"), Security()),
    ],
)
def test_another_volume_has_other_names(source: BucketSource | FileSystemSource, security: Security) -> None:
    """Kubernetes changes neither volumes nor claims, and the old ones stay until the pods that have them are gone."""
    kinds = [f"kubernetes:core/v1:{kind}" for kind in ("PersistentVolume", "PersistentVolumeClaim")]
    before, same = (recorded(workload(volumes={"v": BUCKET})) for _ in range(2))
    after = recorded(workload(volumes={"v": source}, security=security))
    for kind in kinds:
        assert before.one(kind).inputs == same.one(kind).inputs
        assert before.one(kind).name == after.one(kind).name
        assert before.one(kind).inputs["metadata"]["name"] != after.one(kind).inputs["metadata"]["name"]
