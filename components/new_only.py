"""Objects that one owner alone may have are made, or refused where they are there.

By server-side apply Pulumi's provider makes what is not there and takes over what is: a namespace, NodePool or class
that somebody has under the same name would be changed, and `pulumi destroy` would delete it and all that lives by it. A
provider without it makes objects by POST, which the API server refuses: "already exists".

    new = k8s.Provider("new", kubeconfig=..., enable_server_side_apply=False)
    in_cluster = pulumi.ResourceOptions(providers=[kubernetes], transformations=[new_only(new)])

Written as a transformation, which Pulumi applies to each resource below the one that has it.
"""

from __future__ import annotations

from collections.abc import Mapping

import pulumi

from components.mirror import RELEASE, Transformation


def new_only(provider: pulumi.ProviderResource) -> Transformation:
    """The transformation, for objects of no namespace: what is in a namespace of ours is ours.

    provider: of the same cluster, without server-side apply.
    """

    def transform(args: pulumi.ResourceTransformationArgs) -> pulumi.ResourceTransformationResult | None:
        # Helm refuses by itself what another release has, and a patch is for what is there.
        if not args.type_.startswith("kubernetes:") or args.type_ == RELEASE or args.type_.endswith("Patch"):
            return None
        metadata = args.props.get("metadata")
        if not isinstance(metadata, Mapping) or "namespace" in metadata:
            return None
        opts = pulumi.ResourceOptions.merge(args.opts, pulumi.ResourceOptions(provider=provider))
        return pulumi.ResourceTransformationResult(args.props, opts)

    return transform
