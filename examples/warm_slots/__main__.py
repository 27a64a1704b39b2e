"""A free slot that a pool keeps on workdays, so that a model wakes without a new node."""

import pulumi
import pulumi_kubernetes as k8s

from components.new_only import new_only
from components.serving.warm_slots import WarmSlots, WarmSlotsArgs
from gpu.catalog import types_in
from gpu.host_share import host_share
from gpu.sharing import TimeSlicing

settings = pulumi.Config()
config, context = settings.get("kubeconfig"), settings.get("context")
cluster = k8s.Provider("cluster", kubeconfig=config, context=context)
# A name that somebody has in the cluster is refused, and not taken over.
new = k8s.Provider("new", kubeconfig=config, context=context, enable_server_side_apply=False)
in_cluster = pulumi.ResourceOptions(providers=[cluster], transformations=[new_only(new)])

# The pool `shared` of ../gpu_pool: what one of its slots is called, and what it may take of its node.
profile, types = TimeSlicing(3), types_in(names=["g6.xlarge", "g5.xlarge"])

WarmSlots(
    "warm-shared",
    WarmSlotsArgs(
        pool="shared",
        resource_name=profile.resource_name("bottlerocket"),
        share=host_share(types, profile),
        days=("mon", "tue", "wed", "thu", "fri"),
        start="08:00",
        end="18:00",
        time_zone="Europe/Berlin",
    ),
    in_cluster,
)
