"""Which pool work goes to that names none, and how many slots come to what it says that it needs.

The stack file may say "3 GiB" or "20 % of a GPU" in place of a pool and slots. Before anything is checked, each such
entry gets the pool with the cheapest slot or claim that meets its need, and its slots: everything behind sees whole
entries. The other pools have no pods then, and Karpenter keeps no node of theirs.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property, partial
from typing import Any, Literal, TypeVar, assert_never

from config.checks.importance import capacity_on_pool
from config.checks.models import model_on_pool
from config.checks.parts import Parts, Slots, all_of, attempt
from config.checks.serving import service_on_pool
from config.checks.static import static_room
from config.checks.together import Standing, models_together, workload_together
from config.checks.warm import warm_beside
from config.checks.workloads import on_pool, whole_gpus
from config.errors import MISSING, Path, Problem, counted
from config.pool_schema import GpuPool
from config.quantities import memory_mib, share_of_gpu
from config.schema import Model, StackConfig, Workload
from config.section import BrokenValueError, Section
from config.services import Service, memory_of, service_claim, service_name, workload_claim
from config.wording import PURPOSES
from gpu.claims import ClaimError
from gpu.estimate import BOUGHT, cheapest_gpu
from gpu.fraction import Need, recut, shortfall, slots_for
from gpu.importance import Importance, may_run_on
from gpu.pool import Pool, Purchase
from gpu.sharing import MemoryClaims, Mig, Mps, NoSharing, SharingProfile, TimeSlicing
from gpu.why import Why, given, times

E = TypeVar("E", Model, Workload)
S = TypeVar("S", bound=Section)
#: What is wrong with work on its pool beside what stands there, by the pool's name; it is added to that.
_Together = Callable[[Mapping[str, Standing]], Iterator[Problem]]
#: Most pools whose reason an error names.
_NAMED = 4
_UNTRUSTED = "its tenants do not trust each other: nothing goes there that does not name it"
_BLOCK = "its capacity block ends at its hour: nothing goes there that does not name it"


@dataclass(frozen=True, kw_only=True)
class Offer:
    """What a pool has for one pod. claim_mib: what the pod claims there; 0 where it gets slots, or no GPU holds it.

    why_not: why the pod does not go there, as a sentence without subject, or empty.
    """

    pool: Pool
    slots: int
    claim_mib: int = 0
    why_not: str = ""

    @property
    def why(self) -> Why:
        """What its slots or its claim cost on a node of which nothing is left over, USD per hour.

        A slot is its part of a node's price by number, a claim its part by memory, on the cheapest node that holds it.
        """
        if self.pool.block:
            return self.pool.why_block_hour
        bought = self.pool.capacity_type
        if self.claim_mib:
            return self.pool.why_claim(self.claim_mib, bought)
        one = self.pool.why_slot(bought)
        return one if self.slots == 1 else times(given("slots", self.slots), one)

    @cached_property
    def usd_per_hour(self) -> float | None:
        """The same; None where no price is known."""
        if self.claim_mib:
            return self.pool.usd_per_claim_hour(self.claim_mib)
        usd = self.pool.usd_per_slot_hour
        return None if usd is None else usd * self.slots

    def held(self, pods: int) -> list[int]:
        """What so many of such pods hold: slots, or where they claim memory MiB of each."""
        if self.pool.claims:
            return [self.claim_mib] * pods if self.claim_mib else []
        return [pods * self.pool.held_slots(self.slots)] if pods else []

    def gpus_for(self, pods: int, beside: Sequence[int]) -> int:
        """GPUs that so many of such pods take together. beside: what others hold there."""
        taken = [*beside, *self.held(pods)]
        return self.pool.gpus_for(taken) if self.pool.claims else -(-sum(taken) // self.pool.slots_per_gpu)

    def crowded(self, pods: int, beside: Sequence[int]) -> str:
        """Why so many of such pods do not find a place at the same time, or empty. beside: what others hold there."""
        pool = self.pool
        if pool.claims:
            if self.gpus_for(pods, beside) <= pool.max_gpus:
                return ""
            others = " beside what others claim" if beside else ""
            what = f"claims of {self.claim_mib:,} MiB for {counted(pods, 'pod')}"
            return f"it has maxGpus {pool.max_gpus}, and {what}{others} need more"
        needed, taken = sum(self.held(pods)), sum(beside)
        if needed + taken <= pool.max_slots:
            return ""
        others, are = f", of which others hold {taken}" if taken else "", "is" if needed == 1 else "are"
        return f"it has {counted(pool.max_slots, 'slot')}{others}, and {needed} {are} needed at a time"


@dataclass(frozen=True, kw_only=True)
class _Held:
    """Work on a pool. parts: what it holds there for ever, as `Offer.held`. standing: the same with its nodes' rest."""

    work: Model | Workload
    parts: Sequence[int]
    standing: Standing


@dataclass(frozen=True, kw_only=True)
class Placement:
    """Where something goes that says what it needs. offer: what it got. others: every other pool, cheapest first."""

    name: str
    kind: Literal["model", "server", "workload"]
    need: Need
    chosen: bool
    """Whether the stack file left the pool out."""
    offer: Offer
    others: tuple[Offer, ...]

    @property
    def unused_mib(self) -> int | None:
        """Memory of its slots beyond the need, in MiB; of a claim, what it claims beyond the need's. None where it says
        none."""
        need, offer = self.need.memory_mib, self.offer
        if need is None:
            return None
        if offer.claim_mib:
            return offer.claim_mib - offer.pool.claim_mib(need)
        return offer.slots * offer.pool.slot_memory_mib - need

    @property
    def unused_share(self) -> Fraction | None:
        """Part of a GPU beyond the need; None where it says none."""
        share = self.need.share
        return None if share is None else self.offer.slots * self.offer.pool.slot_share - share


def place(parts: Parts, pools: Slots) -> tuple[Parts, list[Problem]]:
    """The parts with a pool and slots for every entry that says what it needs; and what cannot be met.

    pools: those of the parts in which nothing is wrong that concerns their slots.
    """
    workloads, models = parts.workloads or (), parts.models or ()
    if all(map(_settled, workloads)) and not any(map(_pool_left_out, models)):
        return parts, []
    sections = {name: section for section in parts.pools or () if section and (name := _name(section))}
    complete = parts.pools is not None and len(pools) == len(parts.pools)
    placing = _Placing(pools, sections, complete)
    placing.hold(workloads, models)
    placed = replace(
        parts,
        workloads=parts.workloads and tuple(map(_readable, placing.workloads(workloads))),
        models=parts.models and tuple(map(_readable, placing.models(models))),
    )
    return placed, placing.problems


def placements(config: StackConfig) -> Iterator[Placement]:
    """Of a whole stack: each entry whose pool or slots follow from what it needs, and what the other pools offer."""
    pools, sections = config.gpu_pools, {section.name: section for section in config.pools}
    placing = _Placing(pools, sections, complete=True)
    placing.hold(config.workloads, config.models)
    for index, workload in enumerate(config.workloads):
        need, chosen = need_of(workload), "pool" not in workload.model_fields_set
        if chosen or workload.gpu_share or workload.gpu_memory:
            offers = placing.workload_offers(workload, need, index)
            yield _placement(workload.name, "workload", need, chosen, workload.pool, offers)
    for members in _grouped(config.models).values():
        first = members[0][1]
        if all("pool" not in model.model_fields_set for _, model in members):
            need = Need(memory_mib=_memory(members))
            kind: Literal["model", "server"] = "server" if first.server else "model"
            offers = placing.service_offers(members)
            yield _placement(service_name(first), kind, need, True, first.pool, offers)


def need_of(workload: Workload) -> Need:
    """What each pod of a workload needs of a GPU, as far as it says so."""
    memory = workload.gpu_memory_mib or (memory_mib(workload.gpu_memory) if workload.gpu_memory else None)
    share = share_of_gpu(workload.gpu_share) if workload.gpu_share else None
    slots = 1
    with suppress(BrokenValueError):
        slots = max((each.slots for each in all_of(workload.containers) if each.slots > 0), default=1)
    return Need(memory, share, slots)


def _placement(
    name: str,
    kind: Literal["model", "server", "workload"],
    need: Need,
    chosen: bool,
    pool: str,
    offers: Sequence[Offer],
) -> Placement:
    own = next(offer for offer in offers if offer.pool.name == pool)
    others = sorted((offer for offer in offers if offer is not own), key=_dearness)
    return Placement(name=name, kind=kind, need=need, chosen=chosen, offer=own, others=tuple(others))


def _dearness(offer: Offer) -> float:
    usd = offer.usd_per_hour
    return float("inf") if usd is None else usd


class _Placing:
    """Looks for pools. complete: whether all pools of the file are right, so that none can be missing."""

    def __init__(self, pools: Slots, sections: Mapping[str, GpuPool], complete: bool) -> None:
        self.pools, self.sections, self.complete = pools, sections, complete
        self.problems: list[Problem] = []
        #: Work of each pool that has its place there, by position of the workload or name of the service.
        self.held: dict[str, dict[int | str, _Held]] = {}

    # --- What always runs ---

    def hold(self, workloads: Sequence[Workload | None], models: Sequence[Model | None]) -> None:
        """Counts those whose pool is known, wherever they stand in the file: they have no choice."""
        for index, workload in enumerate(workloads):
            with suppress(BrokenValueError):
                if workload is not None and workload.pool in self.pools:
                    self._hold_workload(index, workload)
        for members in _grouped(models).values():
            pools = {model.pool for _, model in members if model.pool}
            if len(pools) == 1 and (pool := pools.pop()) in self.pools:
                self._hold_service(members, pool)

    def _hold_workload(self, index: int, workload: Workload) -> None:
        pool, need = self.pools[workload.pool], need_of(workload)
        there = _with(workload, **({"gpu_memory_mib": need.memory_mib} if need.memory_mib else {}))
        there = _with_slots(there, need.slots_on(pool))
        claim = _claim(lambda: workload_claim(there, pool))
        offer = Offer(pool=pool, slots=whole_gpus(there, pool), claim_mib=claim)
        self._hold(offer, index, there, partial(workload_together, index, there, {pool.name: pool}))

    def _hold_service(self, members: Sequence[tuple[int, Model]], pool: str) -> None:
        with suppress(BrokenValueError):
            there = [(index, _with(model, pool=pool)) for index, model in members]
            together = partial(models_together, there, {pool: self.pools[pool]})
            own, first = service_name(members[0][1]), there[0][1]
            self._hold(self._service_place(members, self.pools[pool]), own, first, together)

    def _hold(self, offer: Offer, own: int | str, work: Model | Workload, together: _Together) -> None:
        pool = offer.pool
        if self._crowded(offer, own, work) or self._no_room(pool, own, together):
            return  # the checks say that it is too much, and of nobody else
        alone = {pool.name: Standing()}
        _first(attempt(together(alone)), ())
        held = _Held(work=work, parts=offer.held(_always(work)), standing=alone[pool.name])
        self.held.setdefault(pool.name, {})[own] = held

    def _crowded(self, offer: Offer, own: int | str, work: Model | Workload) -> str:
        """Why its pods do not find a place beside all that always runs, or empty."""
        return offer.crowded(_at_a_time(work), self._beside(offer.pool, own, work))

    def _beside(self, pool: Pool, own: int | str, work: Model | Workload) -> list[int]:
        """What others hold of a pool for ever, where this holds some of it too: what ends or sleeps waits its turn."""
        if not _always(work):
            return []
        return [each for held in self._others(pool, own) for each in held.parts]

    def _others(self, pool: Pool, own: int | str) -> list[_Held]:
        return [held for key, held in self.held.get(pool.name, {}).items() if key != own]

    def _no_room(self, pool: Pool, own: int | str, together: _Together, path: Path = ()) -> str:
        """Why its pods do not find CPU and memory beside all that always runs, or empty. path: of the work."""
        standing = Standing()
        for held in self._others(pool, own):
            standing.slots += held.standing.slots
            standing.pods += held.standing.pods
        return _first(attempt(together({pool.name: standing})), path)

    def _takes_warm(self, pool: Pool, own: int | str, work: Model | Workload) -> str:
        """Why slots that the pool keeps free would not be free beside it, or empty; also where they are not anyway."""
        section, others = self.sections.get(pool.name), [held.work for held in self._others(pool, own)]
        if section is None or _warm_problem(section, pool, others):
            return ""
        return _warm_problem(section, pool, [*others, work])

    # --- Workloads ---

    def workloads(self, workloads: Sequence[Workload | None]) -> Iterator[Workload | None]:
        """The workloads with their pools and slots, as far as these can be known."""
        for index, workload in enumerate(workloads):
            placed = workload
            with suppress(BrokenValueError):
                if workload is not None and not {"gpu_memory", "gpu_share"} <= workload.__dict__.keys():
                    placed = _with_slots(workload, 1)  # what it needs is wrong, and said already
                elif workload is not None and not _settled(workload):
                    placed = self._workload(workload, index)
            yield placed

    def _workload(self, workload: Workload, index: int) -> Workload:
        path: Path = ("workloads", index)
        need = need_of(workload)
        if workload.gpu_memory and workload.gpu_memory_mib:
            message = "says the same as gpuMemory: remove one of the two"
            self.problems.append(Problem((*path, "gpuMemoryMib"), workload.gpu_memory_mib, message))
        changes: dict[str, Any] = {"gpu_memory_mib": need.memory_mib} if need.memory_mib else {}
        if workload.pool:
            return self._sized(_with(workload, **changes), need, path)
        if not need.said:
            self.problems.append(Problem((*path, "pool"), MISSING, f"is missing: {PURPOSES['pool']}"))
            return workload
        if _user(workload) is None:
            return workload  # nobody knows which container uses the GPU: the checks say it
        offers = self.workload_offers(workload, need, index)
        best = self._best(offers)
        if best is None:
            key, value = _asked(workload, self.pools.values())
            self._no_pool(Problem((*path, key), value, "fits no pool"), need, offers, index, workload)
            return _with_slots(workload, 1)
        placed = _with(workload, **changes, pool=best.pool.name)
        self._hold_workload(index, placed)
        return self._sized(placed, need, path)

    def workload_offers(self, workload: Workload, need: Need, index: int) -> list[Offer]:
        """What each pool has for one pod of the workload."""
        return [self._workload_offer(workload, need, index, pool) for pool in self.pools.values()]

    def _workload_offer(self, workload: Workload, need: Need, index: int, pool: Pool) -> Offer:
        path: Path = ("workloads", index)
        there = _with(workload, pool=pool.name, **({"gpu_memory_mib": need.memory_mib} if need.memory_mib else {}))
        there = _with_slots(there, need.slots_on(pool))
        slots = max((each.slots for each in all_of(there.containers)), default=1)
        offer = Offer(pool=pool, slots=max(slots, 1), claim_mib=_claim(lambda: workload_claim(there, pool)))
        why_not = self._closed(pool) or shortfall(need, pool) or self._other_capacity(there)
        why_not = why_not or self._crowded(offer, index, there)
        only = {pool.name: pool}
        why_not = why_not or _first(on_pool(there, path, only), path)
        why_not = why_not or self._no_room(pool, index, partial(workload_together, index, there, only), path)
        return replace(offer, why_not=why_not or self._takes_warm(pool, index, there))

    def _sized(self, workload: Workload, need: Need, path: Path) -> Workload:
        """The workload on its pool with the slots of its need. Appends what is wrong with its share of that pool."""
        pool = self.pools.get(workload.pool)
        if pool is None or need.share is None:
            return _with_slots(workload, need.slots if pool else 1)
        if why_not := shortfall(Need(share=need.share), pool):
            message = (
                f"is more than pool {pool.name} gives: {why_not}. {self._remedy(need, workload.importance, [pool])}"
            )
            self.problems.append(Problem((*path, "gpuShare"), workload.gpu_share, message))
            return _with(_with_slots(workload, 1), pool="")
        slots = slots_for(need.share, pool)
        for index, container in enumerate(all_of(workload.containers)):
            if container.slots > 0 and container.slots != slots:
                message = f"must be {slots}, or be left out: gpuShare {workload.gpu_share} of pool {pool.name} is that"
                self.problems.append(Problem((*path, "containers", index, "slots"), container.slots, message))
        return _with_slots(workload, slots)

    # --- Models ---

    def models(self, models: Sequence[Model | None]) -> Sequence[Model | None]:
        """The models with their pools; those of one server have one."""
        found = list(models)
        for members in _grouped(models).values():
            named = {model.pool for _, model in members if model.pool}
            left_out = [(index, model) for index, model in members if not model.pool]
            if not left_out:
                continue
            pool = named.pop() if len(named) == 1 else None if named else self._service_pool(members)
            if pool and pool in self.pools:
                self._hold_service(members, pool)
            for index, model in left_out:
                found[index] = _with(model, pool=pool or "")
        return found

    def _service_pool(self, members: Sequence[tuple[int, Model]]) -> str | None:
        """The pool of models that name none. Appends that there is none."""
        need = Need(memory_mib=_memory(members))
        with suppress(BrokenValueError):
            if need.memory_mib is None:
                return None  # not known, and said already
            offers = self.service_offers(members)
            if best := self._best(offers):
                return best.pool.name
            name = service_name(members[0][1])
            said = f"is left out, and no pool's slot has the {need.words} of {name}"
            if any(shortfall(need, offer.pool) is None for offer in offers):
                said = f"is left out, and no pool does for {name}, which needs {need.words}"
            problem, first = Problem(("models", members[0][0], "pool"), MISSING, said), members[0][1]
            self._no_pool(problem, need, offers, service_name(first), first)
        return None

    def service_offers(self, members: Sequence[tuple[int, Model]]) -> list[Offer]:
        """What each pool has for a model, or for all models of a server."""
        need = Need(memory_mib=_memory(members))
        return [self._service_offer(members, need, pool) for pool in self.pools.values()]

    def _service_place(self, members: Sequence[tuple[int, Model]], pool: Pool) -> Offer:
        service = Service(service_name(members[0][1]), tuple(model for _, model in members), pool.max_slots)
        return Offer(pool=pool, slots=1, claim_mib=_claim(lambda: service_claim(service, pool)))

    def _service_offer(self, members: Sequence[tuple[int, Model]], need: Need, pool: Pool) -> Offer:
        offer, first = self._service_place(members, pool), members[0][1]
        why_not = self._closed(pool) or shortfall(need, pool) or ""
        if not why_not:
            there = [(index, _with(model, pool=pool.name)) for index, model in members]
            slots = {pool.name: pool}
            path: Path = ("models", members[0][0])
            why_not = next(filter(None, (_first(model_on_pool(m, ("models", i), slots), path) for i, m in there)), "")
            why_not = why_not or _first(service_on_pool(there, slots), path)
            own, placed = service_name(first), there[0][1]
            why_not = why_not or self._other_capacity(placed) or self._crowded(offer, own, first)
            why_not = why_not or self._no_room(pool, own, partial(models_together, there, slots), path)
            why_not = why_not or self._takes_warm(pool, own, placed)
        return replace(offer, why_not=why_not)

    # --- Both ---

    def _closed(self, pool: Pool) -> str:
        """Why nothing goes to a pool by itself, or empty."""
        if pool.block:
            return _BLOCK
        section = self.sections.get(pool.name)
        with suppress(BrokenValueError):
            return _UNTRUSTED if section is None or section.tenants == "untrusted" else ""
        return _UNTRUSTED

    def _other_capacity(self, work: Model | Workload) -> str:
        """Why work of its importance does not go to its pool, or empty."""
        problem = next(capacity_on_pool(work, (), self.sections), None)
        return f"{work.importance} work {problem.message}" if problem else ""

    def _best(self, offers: Sequence[Offer]) -> Offer | None:
        """The cheapest that is one; of two that cost the same, or whose price nobody knows, the first of the file."""
        return min((offer for offer in offers if not offer.why_not), key=_dearness, default=None)

    def _no_pool(
        self, problem: Problem, need: Need, offers: Sequence[Offer], own: int | str, work: Model | Workload
    ) -> None:
        """Appends the problem with every pool's reason and what would do. own: as in `held`."""
        if not self.complete:
            return  # a pool that is wrong might do once it is right
        whys = [f"{offer.pool.name}: {offer.why_not}" for offer in offers]
        left = len(whys) - _NAMED
        more = f"; and {counted(left, 'more pool')}" if left > 0 else ""
        # Where a slot is large enough, its reason says what to do.
        large = [offer for offer in offers if shortfall(need, offer.pool) is None and not self._closed(offer.pool)]
        remedy = "" if large else f". {self._remedy(need, work.importance, [offer.pool for offer in offers])}"
        if full := [offer for offer in large if offer.why_not == self._crowded(offer, own, work)]:
            best = min(full, key=_dearness)
            gpus = best.gpus_for(_at_a_time(work), self._beside(best.pool, own, work))
            remedy = f". Pool {best.pool.name} with {_larger(best.pool, gpus)} would do{_priced(best)}"
        message = f"{problem.message}. {'; '.join(whys[:_NAMED])}{more}{remedy}"
        self.problems.append(replace(problem, message=message))

    def _remedy(self, need: Need, importance: Importance, pools: Sequence[Pool]) -> str:
        """What would meet the need on capacity for such work, cheapest first, and its price."""
        fitting = [pool for pool in pools if not pool.block and may_run_on(importance, pool.capacity_types)]
        cut = [made for pool in fitting if not self._closed(pool) and (made := recut(need, pool))]
        if cut:
            best = min((Offer(pool=made, slots=1) for made in cut), key=_dearness)
            return f"Pool {best.pool.name} with sharing: {_written(best.pool.profile)} would do{_priced(best)}"
        if (need.slots if need.share is None else need.share) > 1:
            whole = [pool for pool in pools if not pool.profile.shares]
            if any(shortfall(replace(need, memory_mib=None), pool) is None for pool in whole):
                return "More GPUs for each pod have that, or larger ones"
            return f"Several GPUs are slots of a pool with sharing: {_written(NoSharing())} and larger gpusPerNode"
        pool = fitting[0] if fitting else _with_capacity(pools[0], importance)
        single = cheapest_gpu(need.memory_mib or 0, pool.capacity_type, pool.prices)
        if single is None:
            return "No single GPU whose price is known has that"
        made = replace(pool, name=single.family, profile=NoSharing(), types=(single,))
        bought = "" if fitting else f", capacityType: {pool.purchase}"
        what = f"instanceFamilies: [{single.family}]{bought} and sharing: {_written(made.profile)}"
        return f"A pool with {what} would do{_priced(Offer(pool=made, slots=1))}"


def _larger(pool: Pool, gpus: int) -> str:
    """What a pool must say to have so many GPUs: of whole nodes."""
    size = min(each.gpu_count for each in pool.types)
    nodes = -(-gpus // size)
    if pool.static is None:
        return f"maxGpus: {nodes * size}"
    room = max(pool.max_gpus, static_room(nodes, size, pool.purchase))
    return f"static: {{replicas: {nodes}}} and maxGpus: {room}"


def _with_capacity(pool: Pool, importance: Importance) -> Pool:
    """The pool with capacity on which such work may run, where its own is none."""
    purchases: tuple[Purchase, ...] = ("spot", "on-demand")
    purchase = next(each for each in purchases if may_run_on(importance, (each,)))
    return replace(pool, purchase=purchase, reservation_type="default", fallback=False)


def _always(work: Model | Workload) -> int:
    """Pods that hold their place for ever; 0 of what ends or sleeps."""
    if isinstance(work, Model):
        return work.min_scale
    match work.kind:
        case "Job" | "CronJob":
            return 0
        case "Deployment":
            return work.most_replicas
        case "KnativeService":
            return work.min_scale
        case _:
            assert_never(work.kind)


def _at_a_time(work: Model | Workload) -> int:
    """Pods that must find a place at the same time."""
    return max(1, _always(work))


def _claim(claim: Callable[[], int]) -> int:
    """What is claimed; 0 where nobody can say it, or nothing holds it: why not is said otherwise."""
    with suppress(ClaimError, BrokenValueError):
        return claim()
    return 0


def _priced(offer: Offer) -> str:
    usd, one = replace(offer, slots=1).usd_per_hour, "claim" if offer.claim_mib else "slot"
    return f", at {usd:.4f} USD an hour a {one} ({BOUGHT[offer.pool.capacity_type]})" if usd is not None else ""


def _written(profile: SharingProfile) -> str:
    """The profile as it stands in a stack file."""
    match profile:
        case NoSharing() | MemoryClaims():
            return f"{{strategy: {profile.strategy}}}"
        case TimeSlicing() | Mps():
            return f"{{strategy: {profile.strategy}, replicas: {profile.replicas}}}"
        case Mig():
            return f"{{strategy: mig, profile: {profile.profile}}}"
        case _:
            assert_never(profile)


def _first(problems: Iterator[Problem], path: Path) -> str:
    """The first problem as a reason, with its key below the path; empty where there is none."""
    problem = next(problems, None)
    if problem is None:
        return ""
    key = ".".join(str(part) for part in problem.path[len(path) :] if not isinstance(part, int))
    return f"{key} {problem.message}"


def _warm_problem(section: GpuPool, pool: Pool, there: Sequence[Model | Workload]) -> str:
    """Why the pool cannot keep its slots free beside this work, or empty."""
    workloads = [each for each in there if isinstance(each, Workload)]
    models = [each for each in there if isinstance(each, Model)]
    return _first(attempt(warm_beside(section, ("warm", "slots"), {pool.name: pool}, workloads, models)), ())


def _settled(workload: Workload | None) -> bool:
    """Whether a workload says its pool and slots, and nothing in their place."""
    with suppress(BrokenValueError):
        return workload is None or bool(workload.pool and not workload.gpu_memory and not workload.gpu_share)
    return False


def _pool_left_out(model: Model | None) -> bool:
    with suppress(BrokenValueError):
        return model is not None and not model.pool
    return False


def _grouped(models: Sequence[Model | None]) -> Mapping[str, list[tuple[int, Model]]]:
    """Models with their positions by service, of those whose pool and server are right."""
    found: dict[str, list[tuple[int, Model]]] = {}
    for index, model in enumerate(models):
        with suppress(BrokenValueError):
            if model is not None and model.pool is not None:
                found.setdefault(service_name(model), []).append((index, model))
    return found


def _memory(members: Sequence[tuple[int, Model]]) -> int | None:
    """Memory of all models of a service, in MiB; None where one's is not known."""
    with suppress(BrokenValueError):
        needs = [memory_of(model) for _, model in members]
        return None if None in needs else sum(need.total_mib for need in needs if need)
    return None


def _name(section: GpuPool) -> str | None:
    with suppress(BrokenValueError):
        return section.name
    return None


def _asked(workload: Workload, pools: Collection[Pool]) -> tuple[str, object]:
    """Key and value of what a workload needs and no pool gives: memory first, where the share alone is not too much."""
    share = Need(share=share_of_gpu(workload.gpu_share)) if workload.gpu_share else Need()
    if not all(shortfall(share, pool) for pool in pools):
        if workload.gpu_memory:
            return "gpuMemory", workload.gpu_memory
        if workload.gpu_memory_mib:
            return "gpuMemoryMib", workload.gpu_memory_mib
    return "gpuShare", workload.gpu_share


def _with_slots(workload: Workload, slots: int) -> Workload:
    """The workload with so many slots in the container that uses the GPU: the one that says so, or the only one."""
    user = _user(workload)
    if user is None:
        return workload  # said by the checks
    containers = enumerate(all_of(workload.containers))
    return _with(workload, containers=tuple(_with(c, slots=slots) if index == user else c for index, c in containers))


def _user(workload: Workload) -> int | None:
    """Which container uses the GPU: the one with slots, or the only one; None where nobody can know."""
    containers = all_of(workload.containers)
    users = [index for index, container in enumerate(containers) if container.slots != 0] or range(len(containers))
    return users[0] if len(users) == 1 and containers[users[0]].slots >= 0 else None


def _with(entry: S, **values: Any) -> S:
    """The entry with other values; what the file says of it stays known (`model_fields_set`)."""
    made = entry.model_copy(update=values)
    made.__pydantic_fields_set__.clear()
    made.__pydantic_fields_set__.update(entry.model_fields_set)
    return made


def _readable(entry: E | None) -> E | None:
    """An entry without a pool so that nobody can read it: what depends on it is not checked."""
    with suppress(BrokenValueError):
        if entry is not None and not entry.pool:
            entry = entry.model_copy()
            entry.__dict__.pop("pool", None)
    return entry
