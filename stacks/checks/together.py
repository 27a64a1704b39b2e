"""Checks of what must run at the same time: has the pool a slot for each?"""

from __future__ import annotations

from collections.abc import Iterator

from stacks.checks.parts import Parts, Slots, attempt
from stacks.errors import MISSING, Problem, listed
from stacks.schema import Dialogue, Workload


def check_together(parts: Parts, slots: Slots) -> Iterator[Problem]:
    """Deployments hold their slots all the time; the models of a dialogue must find theirs beside them."""
    standing: dict[str, int] = {}
    for index, workload in enumerate(parts.workloads or ()):
        if workload:
            yield from attempt(_deployment(index, workload, slots, standing))
    if parts.dialogue:
        yield from attempt(_dialogue(parts.dialogue, parts, slots, standing))


def _deployment(index: int, workload: Workload, slots: Slots, standing: dict[str, int]) -> Iterator[Problem]:
    if workload.kind != "Deployment":
        return
    pool, replicas = slots.get(workload.pool), workload.replicas
    before = standing.get(workload.pool, 0)
    most = pool.most if pool else None
    if most is not None and before + replicas > most:
        left = f"{most - before} left of its {_slots(most)}" if before else _slots(most)
        message = f"must be {most - before} or less: pool {workload.pool} has {left}, and each pod holds one"
        yield Problem(("workloads", index, "replicas"), replicas, message)
    else:
        standing[workload.pool] = before + replicas


def _dialogue(dialogue: Dialogue, parts: Parts, slots: Slots, standing: dict[str, int]) -> Iterator[Problem]:
    pool_of = {model.name: model.pool for model in reversed(parts.models or ()) if model}
    together: dict[str, list[str]] = {}
    for name in dict.fromkeys((*dialogue.speakers, *dialogue.guests)):
        if name in pool_of:
            together.setdefault(pool_of[name], []).append(name)
    for pool_name, names in together.items():
        most = slots[pool_name].most if pool_name in slots else None
        taken = standing.get(pool_name, 0)
        if most is not None and len(names) + taken > most:
            beside = f" beside {taken} pod{'s' if taken != 1 else ''} of workloads" if taken else ""
            message = (
                f"makes {listed(names, 'and')} run together{beside}, but pool {pool_name} has {_slots(most)}: raise "
                "its maxGpus or its slots per GPU"
            )
            yield Problem(("dialogue",), MISSING, message)


def _slots(count: int) -> str:
    return f"{count} slot{'s' if count != 1 else ''}"
