"""An Ollama model that sleeps until it is asked, on one slot of a pool that is there."""

import pulumi
import pulumi_kubernetes as k8s

from components.gpu.gpu_sharing import GpuSharing, GpuSharingArgs
from components.new_only import new_only
from components.serving.model_space import ModelSpace, ModelSpaceArgs
from components.serving.ollama_model import OllamaModel, OllamaModelArgs, ServedModel
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

# The namespace of GPU system pods, where the cache of weights runs; no plugin, since the pool brings its own.
system = GpuSharing("gpu-sharing", GpuSharingArgs(profiles={}), in_cluster)
space = ModelSpace(
    "models",
    ModelSpaceArgs(cached_pools=["shared"]),
    pulumi.ResourceOptions.merge(in_cluster, pulumi.ResourceOptions(depends_on=[system])),
)
model = OllamaModel(
    "mistral",
    OllamaModelArgs(
        service="mistral",
        models=[ServedModel(name="mistral:7b")],
        pool="shared",
        resource_name=profile.resource_name("bottlerocket"),
        share=host_share(types, profile),
        # A pod that takes more of its GPU is restarted.
        promised_mib=min(profile.slot_memory_mib(each.gpu) for each in types),
        weights_mib=4170,
    ),
    pulumi.ResourceOptions.merge(in_cluster, pulumi.ResourceOptions(depends_on=[*space.ready])),
)
pulumi.export("url", model.url)
