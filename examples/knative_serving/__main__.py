"""Knative Serving with what GPU models need of it, in an existing cluster."""

import pulumi
import pulumi_kubernetes as k8s

from components.new_only import new_only
from components.serving.knative_config import FEATURES
from components.serving.knative_serving import KnativeServing, KnativeServingArgs
from components.serving.ollama_model import Weights

settings = pulumi.Config()
config, context = settings.get("kubeconfig"), settings.get("context")
cluster = k8s.Provider("cluster", kubeconfig=config, context=context)
# A name that somebody has in the cluster is refused, and not taken over.
new = k8s.Provider("new", kubeconfig=config, context=context, enable_server_side_apply=False)
in_cluster = pulumi.ResourceOptions(providers=[cluster], transformations=[new_only(new)])

KnativeServing(
    "knative",
    KnativeServingArgs(
        features={*FEATURES, *Weights().features},
        # Any node without a taint. Better are nodes that stay: node_selector={"karpenter.sh/controller": "true"}.
        node_selector={},
    ),
    in_cluster,
)
