"""GPU memory as claims (dynamic resource allocation): how large they are, and how many GPUs they take. MiB throughout.

NVIDIA's driver publishes each GPU with the whole of its memory as consumable capacity, and the scheduler lets claims in
until that is full. Nothing enforces them, and applications never have the whole: the driver keeps some.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from gpu.catalog import Gpu
from gpu.gpus import KARPENTER
from gpu.host_share import HostShare

#: What NVIDIA's driver takes for a claim: whole MiB, this at least (its `requestPolicy`).
CLAIM_AT_LEAST_MIB = 1
#: Most slots of a GPU that claims are compared with: beyond it a slot of a 24 GB GPU holds no small model any more.
_MOST_SLOTS = 12


class ClaimError(ValueError):
    """What is asked for is more than a GPU has."""


def claimed_mib(need_mib: int, gpus: Iterable[Gpu]) -> int:
    """The claim under which a process has what it needs, on any of a pool's GPUs and beside any other such claims.

    Claims fill a GPU up to what the driver shows; its processes have less. So each claim carries its part of what the
    driver keeps. need_mib: all that the process takes, with its CUDA context and its own reserve. Raises ClaimError for
    what is not above 0, or fits on none of the GPUs.
    """
    found = list(gpus)
    if need_mib <= 0:
        raise ClaimError(f"a claim is above 0 MiB, not {need_mib}")
    most = max(gpu.usable_mib for gpu in found)
    if need_mib > most:
        raise ClaimError(f"{need_mib} MiB fit on none of the pool's GPUs: applications have {most} MiB at most")
    # On a GPU that is too small for it the claim is refused whatever it is.
    able = [gpu for gpu in found if gpu.usable_mib >= need_mib]
    whole = max(-(-need_mib * gpu.memory.total_mib // gpu.usable_mib) for gpu in able)
    return max(CLAIM_AT_LEAST_MIB, whole)


def promised_mib(claim_mib: int, gpus: Iterable[Gpu]) -> int:
    """What the processes of a claim have of a GPU beside any other claims: `claimed_mib` the other way round.

    The least among the GPUs that can hold it, of which there is one at least.
    """
    able = [gpu for gpu in gpus if gpu.memory.total_mib >= claim_mib]
    return min(claim_mib * gpu.usable_mib // gpu.memory.total_mib for gpu in able)


def known_to_karpenter(gpu: Gpu) -> bool:
    """Whether Karpenter knows what NVIDIA's driver will publish of it: for others it buys no node for a claim."""
    return gpu.memory.measured and gpu.memory.source == KARPENTER


def bound(claims: Sequence[int], gpu_mib: int) -> int:
    """The GPUs of gpu_mib each that no placing of claims can do without: their sum, on full GPUs."""
    _check(claims, gpu_mib)
    return -(-sum(claims) // gpu_mib)


def bought(claims: Sequence[int], gpu_mib: int) -> tuple[tuple[int, ...], ...]:
    """The GPUs, each on a node of its own, that Karpenter buys for claims that wait at once, with what it puts on each.

    claims: in the order in which Karpenter takes their pods, by CPU and then memory that they ask of the host, largest
    first (v1.15.0, pkg/controllers/provisioning/scheduling/queue.go). It tries the nodes that it is about to buy by
    their pods, fewest first, and buys another where none has room (scheduler.go, add). Nodes with equally many pods
    keep their order here; there it is not said.
    """
    _check(claims, gpu_mib)
    nodes: list[list[int]] = []
    for claim in claims:
        nodes.sort(key=len)
        room = next((node for node in nodes if sum(node) + claim <= gpu_mib), None)
        if room is None:
            nodes.append([claim])
        else:
            room.append(claim)
    return tuple(tuple(node) for node in nodes)


def bought_with_hosts(pods: Sequence[tuple[int, HostShare]], gpu_mib: int, room: HostShare) -> int:
    """Nodes that Karpenter buys for pods that wait at once, by their claims and by what they ask of the host.

    It takes and tries them as `bought` says. room: what pods have of such a node; what asks for more has one alone.
    """
    _check([claim for claim, _ in pods], gpu_mib)
    nodes: list[list[tuple[int, HostShare]]] = []
    for claim, host in sorted(pods, key=lambda pod: (pod[1].cpu_millis, pod[1].memory_mib, pod[0]), reverse=True):
        nodes.sort(key=len)
        for node in nodes:
            if (
                sum(mib for mib, _ in node) + claim <= gpu_mib
                and sum(each.cpu_millis for _, each in node) + host.cpu_millis <= room.cpu_millis
                and sum(each.memory_mib for _, each in node) + host.memory_mib <= room.memory_mib
            ):
                node.append((claim, host))
                break
        else:
            nodes.append([(claim, host)])
    return len(nodes)


def equal_slots(claims: Sequence[int], gpu_mib: int) -> int:
    """GPUs that the same work takes in equal slots, as many to a GPU as need fewest; what no slot holds has a GPU."""
    _check(claims, gpu_mib)

    def needed(slots: int) -> int:
        fit = sum(claim <= gpu_mib // slots for claim in claims)
        return -(-fit // slots) + len(claims) - fit

    return min(needed(slots) for slots in range(1, _MOST_SLOTS + 1))


def pools_by_size(claims: Sequence[int], gpu_mib: int) -> int:
    """GPUs that the same work takes where each size has a pool of its own, with as many slots as a GPU holds of it."""
    _check(claims, gpu_mib)
    return sum(-(-count // (gpu_mib // size)) for size, count in Counter(claims).items())


def _check(claims: Sequence[int], gpu_mib: int) -> None:
    wrong = next((claim for claim in claims if not CLAIM_AT_LEAST_MIB <= claim <= gpu_mib), None)
    if wrong is not None:
        raise ClaimError(f"a claim of {wrong} MiB: at least {CLAIM_AT_LEAST_MIB}, at most the GPU's {gpu_mib}")
