"""Options of a component's children."""

from __future__ import annotations

import pulumi


def child_options(
    parent: pulumi.Resource, opts: pulumi.ResourceOptions | None, *after: pulumi.Resource
) -> pulumi.ResourceOptions:
    """Of a child that comes after what the component itself depends on, and after `after`; it goes before both.

    The engine orders a child by what its parent depends on as well (pkg/resource/graph/dependency_graph.go); who reads
    one resource alone, such as `slices plan --manifests`, sees the order by this. Nothing else of the component's own
    options is a child's.
    """
    inherited = pulumi.ResourceOptions(depends_on=opts.depends_on) if opts else pulumi.ResourceOptions()
    return pulumi.ResourceOptions.merge(inherited, pulumi.ResourceOptions(parent=parent, depends_on=[*after]))
