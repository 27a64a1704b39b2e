"""`cluster.floor: lean`: everything that stands when nobody works, as cheap as this project builds it, by one word.

It fills in what the stack file does not say; whatever the file says itself, holds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, assert_never

from config.errors import PROJECT, listed
from config.schema import StackConfig

#: Types alike, so that Spot has a choice; the first is what the bill counts.
_SYSTEM_NODES: Final[Mapping[str, Any]] = {
    "instanceTypes": ["t4g.large", "m6g.large", "m7g.large"],
    "capacityType": "spot",
}
_SIZES: Final[Mapping[str, int]] = {"min": 1, "desired": 1, "max": 2}

_ONE_ON_SPOT: Final = (
    "a second system node, on-demand: while AWS takes the one on Spot back, for some minutes, nobody reaches the "
    "models, no node is bought, and no interruption of a GPU node is heard."
)
_NO_HISTORY: Final = "the history of Prometheus: it is on the node's disk, and ends when AWS takes the node back."
_NO_NAT: Final = (
    "the NAT gateway: nodes have public IPv4 addresses, which no security group opens to anybody; whoever opens one, "
    "opens nodes to the Internet. Registries see as many addresses as there are nodes."
)


def filled(raw: Mapping[str, Any]) -> Mapping[str, Any]:
    """A configuration by key with what the lean floor says, where it is chosen and nothing else is written.

    A cluster that is there has its own floor: the checks refuse the choice, and nothing that nobody wrote. A network
    that is there has its own gateways.
    """
    cluster = raw.get("cluster")
    if not isinstance(cluster, Mapping) or cluster.get("floor") != "lean" or cluster.get("existing") is not None:
        return raw
    nodes = cluster.get("systemNodes", {})
    network, serving, monitoring = raw.get("network", {}), raw.get("serving", {}), raw.get("monitoring", {})
    found = dict(raw)
    if isinstance(nodes, Mapping):
        sizes = {} if nodes.keys() & _SIZES.keys() else _SIZES
        found["cluster"] = {**cluster, "systemNodes": {**_SYSTEM_NODES, **sizes, **nodes}}
    if isinstance(network, Mapping) and network.get("existing") is None:
        found["network"] = {"nat": "none", **network}
    if isinstance(serving, Mapping):
        found["serving"] = {"replicas": 1, **serving}
    if isinstance(monitoring, Mapping) and monitoring.get("backend") == "prometheus":
        # A volume is in one zone, and the only system node may come back in another.
        found["monitoring"] = {"volumeGib": 0, **monitoring}
    return found


def gives_up(config: StackConfig) -> Sequence[str]:
    """What a stack's floor gives up, for people; nothing where it is not lean, or where the file says otherwise."""
    match config.cluster.floor:
        case "standard":
            return ()
        case "lean":
            nodes = config.cluster.system_nodes
            alone = nodes.desired == 1 and nodes.capacity_type == "spot"
            scratch = config.monitoring.backend == "prometheus" and config.monitoring.volume_gib == 0
            given_up = {_ONE_ON_SPOT: alone, _NO_HISTORY: scratch, _NO_NAT: config.network.nat == "none"}
            return tuple(each for each, so in given_up.items() if so)
        case _:
            assert_never(config.cluster.floor)


def gateway_on_spot(config: StackConfig) -> str:
    """What is wrong with critical work behind system nodes on Spot, with the keys that mend it; empty if nothing.

    Requests to models and KnativeServices come through Knative's gateway, which runs there
    (`components.serving.knative_config`). Whoever has a cluster already knows its nodes; the stack does not.
    """
    critical = [model.name for model in config.models if model.importance == "critical"]
    critical += [workload.name for workload in config.on_request if workload.importance == "critical"]
    nodes = config.cluster.system_nodes
    if not critical or config.cluster.existing or nodes.capacity_type != "spot":
        return ""
    lean = config.cluster.floor == "lean"
    key = f"{PROJECT}:cluster.{'floor = lean' if lean else 'systemNodes.capacityType = spot'}"
    where = "one system node on Spot" if nodes.desired == 1 else "system nodes on Spot"
    beside = f" and {PROJECT}:serving.replicas: 2" if config.serving.replicas == 1 else ""
    return (
        f"{key}: requests to {listed(critical, 'and')}, importance: critical, come through Knative's gateway on "
        f"{where}: while AWS takes {'it' if nodes.desired == 1 else 'them'} back, for some minutes, nobody reaches "
        f"{'it' if len(critical) == 1 else 'them'}. Write {PROJECT}:cluster.systemNodes: {{capacityType: on-demand, "
        f"desired: 2}}{beside}"
    )
