"""What somebody's program may hand to components: wrong values end with words, and outputs where none can be known."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any

import pulumi
import pytest

import versions
from components.arguments import Arguments
from components.cluster.addon import AddonsArgs
from components.cluster.system_nodes import SystemNodesArgs
from components.gpu.checkpoint_access import CheckpointAccessArgs
from components.gpu.checkpoints import Checkpointing
from components.gpu.gpu_pool import GpuPoolArgs
from components.gpu.gpu_workload import GpuWorkload, WorkloadContainer
from components.gpu.packing_scheduler import PackingSchedulerArgs
from components.gpu.workload_volumes import BucketSource
from components.karpenter.cpu_pool import CpuPoolArgs
from components.karpenter.node_class import ClusterNodes, OwnNodeClass
from components.money.budget import BudgetArgs
from components.serving.dialogue import DialogueArgs, Speaker
from components.serving.ollama_model import OllamaModelArgs, ServedModel
from components.serving.warm_slots import WarmSlotsArgs
from gpu.catalog import types_in
from gpu.host_share import host_share
from gpu.pool import Pool, Taint
from gpu.prices import of
from gpu.sharing import TimeSlicing

TYPES = types_in(names=["g6.xlarge"])
SHARE = host_share(TYPES, TimeSlicing(3))
POOL: Mapping[str, Any] = {
    "name": "shared",
    "profile": TimeSlicing(3),
    "types": TYPES,
    "max_gpus": 2,
    "prices": of("us-east-1"),
}
NODES = ClusterNodes(cluster_name="prod", node_role_name="nodes")
CPU: Mapping[str, Any] = {"nodes": NODES, "pool": "graviton", "arch": "arm64"}
GPU: Mapping[str, Any] = {"nodes": NODES, "pool": Pool(**POOL)}
WARM: Mapping[str, Any] = {
    "pool": "shared",
    "resource_name": "nvidia.com/gpu",
    "share": SHARE,
    "days": ("mon", "sun"),
    "start": "08:00",
    "end": "18:30",
}
BUDGET: Mapping[str, Any] = {
    "name": "gpus",
    "monthly_usd": 1,
    "emails": ["a@example.com"],
    "tag": ("team", "ml"),
    "buyer_role_name": "buyer",
    "account_id": "111122223333",
}
SERVER = WorkloadContainer(name="a", image="a:1", slots=1, cpu="1", memory="1Gi")
WORKLOAD: Mapping[str, Any] = {
    "name": "train",
    "kind": "Job",
    "replicas": 1,
    "resource_name": "nvidia.com/gpu",
    "node_selector": {},
    "tolerations": [],
    "containers": [SERVER],
}
MINOR = versions.EKS_DEFAULT_VERSION
ADDONS: Mapping[str, Any] = {"cluster_name": "prod", "kubernetes_version": MINOR, "account_id": "1"}
SYSTEM: Mapping[str, Any] = {
    "cluster_name": "prod",
    "kubernetes_version": MINOR,
    "subnet_ids": ["subnet-1"],
    "volume_key_arn": "arn:aws:kms:us-east-1:1:key/1",
}
PACKING: Mapping[str, Any] = {"kubernetes_version": MINOR}
ACCESS: Mapping[str, Any] = {
    "cluster_name": "prod",
    "account_id": "1",
    "region": "us-east-1",
    "bucket_name": "b",
    "prefix": "a/b.c",
    "namespace": "workloads",
    "service_account": "train",
}
KEPT: Mapping[str, Any] = {
    "bucket_name": "b",
    "prefix": "a",
    "region": "us-east-1",
    "interval_seconds": 60,
    "grace_seconds": 60,
}
MODEL: Mapping[str, Any] = {
    "service": "mistral",
    "models": [ServedModel(name="mistral:7b")],
    "pool": "shared",
    "resource_name": "nvidia.com/gpu",
    "share": SHARE,
    "weights_mib": 4170,
}
TIMES: Mapping[str, Any] = {"node_seconds": 1.0, "image_seconds": 1.0, "weights_seconds": 1.0, "context_length": 4096}
SPEAKERS = [Speaker(name=name, model=name, url=f"http://{name}", guest=name == "c", **TIMES) for name in "abc"]
DIALOGUE: Mapping[str, Any] = {"image": "a", "arch": "amd64", "speakers": SPEAKERS}

#: Of Karpenter's own: it evicts no pod that tolerates it.
DISRUPTED = Taint("karpenter.sh/disrupted", "", "NoSchedule")

Made = Callable[..., Any]


@pytest.mark.parametrize(
    ("made", "right", "wrong", "said"),
    [
        (Pool, POOL, {"name": "Shared_1"}, "name of a pool is 'Shared_1': write small letters"),
        (Pool, POOL, {"name": "a" * 41}, "at most 40 characters"),
        (Pool, POOL, {"types": ()}, "types must name at least one"),
        (Pool, POOL, {"max_gpus": 0}, "max_gpus is 0: write a whole number of 1 or more"),
        (Pool, POOL, {"max_gpus": 2.5}, "max_gpus is 2.5"),
        (Pool, POOL, {"ami": "al2"}, "ami is 'al2': write al2023 or bottlerocket"),
        (Pool, POOL, {"purchase": "cheap"}, "write spot or on-demand or reserved"),
        (Pool, POOL, {"reservation_type": "block"}, "write default or capacity-block"),
        (Pool, POOL, {"reservation_type": "capacity-block"}, "a capacity block is reserved, and the pool buys spot"),
        (CpuPoolArgs, CPU, {"pool": "Graviton"}, "CpuPoolArgs.pool is 'Graviton'"),
        (Pool, POOL, {"taints": (DISRUPTED,)}, "disrupted begins as the taints do that Karpenter writes"),
        (CpuPoolArgs, CPU, {"cpu_limit": 0}, "must be 1 or more"),
        (CpuPoolArgs, CPU, {"expire_after": "1s"}, "pool graviton: expire_after must be 15m or more"),
        (GpuPoolArgs, GPU, {"expire_after": "14m59s"}, "pool shared: expire_after must be 15m or more"),
        (CpuPoolArgs, CPU, {"taints": [vars(DISRUPTED)]}, "disrupted begins as the taints do that Karpenter writes"),
        (WarmSlotsArgs, WARM, {"days": ("monday",)}, "no day is called 'monday'"),
        (WarmSlotsArgs, WARM, {"end": "08:00"}, "08:00 to 08:00: write two times"),
        (WarmSlotsArgs, WARM, {"end": "24:00"}, "08:00 to 24:00: write two times"),
        (WarmSlotsArgs, WARM, {"end": None}, "days, start and end go together"),
        (WarmSlotsArgs, WARM, {"slots": 0}, "slots is 0"),
        (BudgetArgs, BUDGET, {"monthly_usd": 0}, "monthly_usd is 0: write an amount above 0"),
        (BudgetArgs, BUDGET, {"monthly_usd": float("nan")}, "monthly_usd is nan"),
        (BudgetArgs, BUDGET, {"emails": []}, "one to 10 emails, or to a topic"),
        (BudgetArgs, BUDGET, {"name": "a:b"}, "no : and no"),
        (AddonsArgs, ADDONS, {"kubernetes_version": "1.29"}, r"no add-on versions .* 1\.29: they are for 1\."),
        (
            SystemNodesArgs,
            SYSTEM,
            {"kubernetes_version": "1.29"},
            r"no releases of system nodes .* 1\.29: they",
        ),
        (PackingSchedulerArgs, PACKING, {"kubernetes_version": "1.29"}, r"no images of the scheduler .* 1\.29: they"),
        (GpuWorkload, WORKLOAD, {"name": "Train"}, "GpuWorkload.name is 'Train'"),
        (GpuWorkload, WORKLOAD, {"kind": "StatefulSet"}, "write Job or CronJob or Deployment"),
        (CheckpointAccessArgs, ACCESS, {"prefix": "*"}, r"prefix is '\*'"),
        (CheckpointAccessArgs, ACCESS, {"prefix": ""}, "prefix is ''"),
        (CheckpointAccessArgs, ACCESS, {"prefix": "a/"}, "prefix is 'a/'"),
        (Checkpointing, KEPT, {"prefix": "../a"}, "Checkpointing.prefix"),
        (OllamaModelArgs, MODEL, {"service": "mistral:7b"}, "OllamaModelArgs.service is 'mistral:7b'"),
        (OllamaModelArgs, MODEL, {"models": []}, "models must name at least one"),
        (DialogueArgs, DIALOGUE, {"arch": "x86"}, "write amd64 or arm64"),
        (DialogueArgs, DIALOGUE, {"speakers": SPEAKERS[1:]}, "two that are no guests"),
    ],
)
def test_what_nothing_could_be_made_of_is_refused(made: Made, right: Mapping[str, Any], wrong: Any, said: str) -> None:
    made(**right)
    with pytest.raises(ValueError, match=said):
        made(**{**right, **wrong})


@pytest.mark.parametrize("wrong", ["g6.xlarge ", "m7g.large", "g99"])
def test_types_that_are_not_in_the_catalogue_are_named(wrong: str) -> None:
    with pytest.raises(ValueError, match=f"is called {wrong}; families are g4dn, "):
        types_in(names=[wrong])
    assert types_in(names="g6.xlarge") == types_in(names=["g6.xlarge"]), "one name is no list of letters"


@pytest.fixture
def output() -> pulumi.Output[str]:
    return pulumi.Output.from_input("value")


def test_an_output_is_no_part_of_a_text(output: pulumi.Output[str]) -> None:
    for made, right, name, wrong in (
        (BudgetArgs, BUDGET, "tag", ("team", output)),
        (BudgetArgs, BUDGET, "name", output),
        (AddonsArgs, {"kubernetes_version": "1.35", "account_id": "1"}, "cluster_name", output),
        (GpuWorkload, WORKLOAD, "node_selector", {"a": output}),
        (BucketSource, {}, "bucket_name", output),
    ):
        with pytest.raises(TypeError, match=rf"^{made.__name__}\.{name} must be a plain value, and is an output"):
            made(**{**right, name: wrong})


def test_outputs_may_be_values(output: pulumi.Output[str]) -> None:
    """A cluster, a role, a subnet or an image that the same program makes."""
    ClusterNodes(cluster_name=output, node_role_name=output, subnet_ids=[output], tags={"a": output})
    OwnNodeClass(role=output, ami_ids=[output])
    BudgetArgs(**{**BUDGET, "buyer_role_name": output, "account_id": output})
    GpuWorkload(**{**WORKLOAD, "client_namespaces": [output]})
    WorkloadContainer(name="a", image=output, slots=1, cpu="1", memory="1Gi", env=[{"name": "A", "value": output}])


def test_every_class_says_which_of_its_fields_may_be_outputs() -> None:
    """The types are read as texts: a module that does not postpone them would have none."""
    found = Arguments.__subclasses__()
    assert len(found) > 20
    for each in found:
        assert all(isinstance(field.type, str) for field in fields(each)), each  # type: ignore[arg-type]
