"""The EKS cluster and what belongs to it. While it stands, nothing else is for this command to delete."""

from __future__ import annotations

from collections.abc import Iterator

from account.teardown.kinds import Call, Eyes, Kind, Leftover

_CLUSTER = Call("eks", "describe_cluster")
_NODE_GROUPS = Call("eks", "list_nodegroups")
_ADDONS = Call("eks", "list_addons")
_ACCESS = Call("eks", "list_access_entries")
_IDENTITIES = Call("eks", "list_pod_identity_associations")

_GONE = ["ResourceNotFoundException"]
#: What each of a cluster's parts is called, and where its list and names are.
_PARTS = (
    ("node group", _NODE_GROUPS, "nodegroups[]"),
    ("add-on", _ADDONS, "addons[]"),
    ("access entry", _ACCESS, "accessEntries[]"),
    ("pod identity", _IDENTITIES, "associations[].serviceAccount"),
)


def _clusters(eyes: Eyes) -> Iterator[Leftover]:
    answer = eyes.ask(_CLUSTER, absent=_GONE, name=eyes.cluster)
    if answer is None:
        return
    cluster = answer["cluster"]
    deleting = cluster.get("status") == "DELETING"
    protected = ", protected from deletion" if cluster.get("deletionProtection") else ""
    yield Leftover(
        kind=eyes.kind.name,
        id=eyes.cluster,
        why="name",
        state=f"{cluster.get('status', '')}{protected}",
        fate="ending" if deleting else "left",
        usd_per_month=eyes.costs.cluster,
        arn=cluster.get("arn", ""),
    )
    for part, call, items in _PARTS:
        for name in eyes.collect(call, items, absent=_GONE, clusterName=eyes.cluster):
            yield Leftover(kind=eyes.kind.name, id=f"{part} {name}", why=f"of cluster {eyes.cluster}")


CLUSTER = Kind(name="EKS clusters", look=_clusters, reads=(_CLUSTER, _NODE_GROUPS, _ADDONS, _ACCESS, _IDENTITIES))
