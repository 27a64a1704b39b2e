"""Knative Serving with what GPU models need of it, in an existing cluster."""

import pulumi
import pulumi_kubernetes as k8s

from components.serving.knative_serving import KnativeServing, KnativeServingArgs
from components.serving.ollama_model import FEATURES, Weights

settings = pulumi.Config()
cluster = k8s.Provider("cluster", kubeconfig=settings.get("kubeconfig"), context=settings.get("context"))
in_cluster = pulumi.ResourceOptions(providers=[cluster])

KnativeServing(
    "knative",
    KnativeServingArgs(
        features={*FEATURES, *Weights().features},
        # Any node without a taint. Better are nodes that stay: node_selector={"karpenter.sh/controller": "true"}.
        node_selector={},
    ),
    in_cluster,
)
