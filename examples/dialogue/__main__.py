"""The page on which two models of an existing cluster talk."""

import pulumi
import pulumi_kubernetes as k8s

from components.new_only import new_only
from components.serving.dialogue import Dialogue, DialogueArgs, Speaker

settings = pulumi.Config()
config, context = settings.get("kubeconfig"), settings.get("context")
cluster = k8s.Provider("cluster", kubeconfig=config, context=context)
# A name that somebody has in the cluster is refused, and not taken over.
new = k8s.Provider("new", kubeconfig=config, context=context, enable_server_side_apply=False)
in_cluster = pulumi.ResourceOptions(providers=[cluster], transformations=[new_only(new)])

models = {"mistral": "mistral:7b", "llama2": "llama2:7b"}
Dialogue(
    "dialogue",
    DialogueArgs(
        image=settings.require("image"),
        arch="amd64",
        # Any x86 node without a taint.
        node_selector={},
        speakers=[
            Speaker(
                name=name,
                model=model,
                url=f"http://{name}.models.svc.cluster.local",
                context_length=4096,
                guest=False,
                node_seconds=90,
                image_seconds=60,
                weights_seconds=60,
            )
            for name, model in models.items()
        ],
    ),
    in_cluster,
)
