"""A plan as JSON, for machines. docs/plan-json.md describes it. Additions keep the schema's version."""

from __future__ import annotations

import json
from typing import Any

from config.placing import Placement
from config.pool_schema import GpuPool
from config.tokens import TokenCosts, per_million
from gpu.bill import Consumer, Spread
from gpu.compare import OWN_ALIKE, WRITTEN, Comparison
from gpu.estimate import SlotPrice
from gpu.fraction import given
from gpu.pool import Pool
from gpu.prices import RegionPrices, of
from plan.claims import ClaimFigures
from plan.figures import Figures, ModelFigures, ServiceFigures
from plan.hosts import HostFigures
from plan.make import Plan
from plan.monitor import Resource
from plan.verdict_json import verdict_json
from plan.wire import shown
from plan.work import WorkFigures

SCHEMA_VERSION = 2


def plan_json(plan: Plan) -> str:
    """The whole plan; keys are always there, with null or an empty list where there is nothing to say."""
    recording, figures = plan.recording, plan.figures
    document = {
        "schemaVersion": SCHEMA_VERSION,
        "project": recording.project,
        "stack": recording.stack,
        "region": recording.region,
        "prices": _prices(of(recording.region), figures),
        "pools": [_pool(*both) for both in zip(figures.pools, figures.config.pools, strict=True)] if figures else [],
        "models": [_model(model) for model in figures.models] if figures else [],
        "hosts": [_hosts(each) for each in figures.hosts] if figures else [],
        "claims": [_claims(each) for each in figures.claims] if figures else [],
        "services": [_service(service) for service in figures.services] if figures else [],
        "placements": [_placement(placement) for placement in figures.placements] if figures else [],
        "work": [_work(each) for each in figures.work] if figures else [],
        "costs": _costs(figures) if figures else None,
        "verdicts": [verdict_json(verdict) for verdict in plan.verdicts],
        "outputs": shown(recording.outputs),
        "notes": list(plan.notes),
        "resources": [_resource(resource) for resource in recording.resources],
    }
    return json.dumps(document, indent=2, ensure_ascii=False)


def _prices(prices: RegionPrices, figures: Figures | None) -> dict[str, Any]:
    return {
        "currency": "USD",
        "region": prices.region,
        "onDemandDate": prices.on_demand_date,
        "servicesDate": prices.services.date,
        "spotIsEstimate": True,
        "tables": [
            {
                "what": table.what,
                "source": table.source,
                "date": table.date,
                "old": table.is_old(figures.today) if figures else None,
            }
            for table in prices.tables
        ],
        "problem": prices.problem or None,
    }


def _pool(pool: Pool, section: GpuPool) -> dict[str, Any]:
    return {
        "name": pool.name,
        "capacityType": pool.purchase,
        "capacityReservationType": pool.reservation_type if pool.purchase == "reserved" else None,
        "upfrontFeeUsd": section.upfront_fee_usd,
        "fallback": section.fallback,
        "onDemand": section.on_demand.model_dump(mode="json", by_alias=True) if section.on_demand else None,
        "sharing": section.sharing.model_dump(mode="json", by_alias=True),
        "ami": pool.ami,
        "tenants": section.tenants,
        "instanceTypes": [t.name for t in pool.types],
        "resource": pool.resource,
        "slotsPerGpu": pool.slots_per_gpu,
        "slotMemoryMib": pool.slot_memory_mib,
        "maxGpus": pool.max_gpus,
        "maxSlots": pool.max_slots,
        "static": pool.static,
        "cheapest": _price(pool.price) if pool.price else None,
        "dearest": _price(pool.dearest) if pool.dearest else None,
        "usdPerSlotHour": _usd(pool.usd_per_slot_hour),
        "spotZones": _zones(pool),
        "spotInterruptions": [{"instanceType": name, "band": band} for name, band in pool.interruption_bands.items()],
    }


def _zones(pool: Pool) -> dict[str, list[float | None]]:
    seen = pool.prices.spot_zones(pool.price.instance_type) if pool.price else {}
    return {zone: [_usd(usd) for usd in (each.least, each.mean, each.most)] for zone, each in seen.items()}


def _price(price: SlotPrice) -> dict[str, Any]:
    return {
        "instanceType": price.instance_type,
        "slots": price.slots,
        "onDemandUsdPerHour": _usd(price.on_demand_usd_per_hour),
        "onDemandUsdPerSlotHour": _usd(price.on_demand_usd_per_slot_hour),
        "spotUsdPerHour": _usd(price.spot_usd_per_hour),
        "spotUsdPerSlotHour": _usd(price.spot_usd_per_slot_hour),
        "spotSource": price.spot_source,
        "spotSeen": price.spot_seen,
    }


def _model(model: ModelFigures) -> dict[str, Any]:
    config, memory = model.config, model.memory
    own = model.dedicated
    return {
        "name": config.name,
        "model": model.model,
        "pool": config.pool,
        "contextLength": config.context_length,
        "parallel": config.parallel,
        "kvCacheType": config.kv_cache_type,
        "mps": config.mps.model_dump(by_alias=True) if config.mps else None,
        "memoryMib": {
            "weights": memory.weights_mib,
            "kvCache": memory.kv_cache_mib,
            "overhead": memory.overhead_mib,
            "need": memory.total_mib,
            "slot": model.slot_memory_mib,
            "headroom": model.headroom_mib,
        },
        "fits": model.headroom_mib >= 0,
        "usdPerSlotHour": _usd(model.usd_per_slot_hour),
        "dedicated": {
            "instanceType": own.name,
            "onDemandUsdPerHour": model.pool.prices.node_usd_per_hour(own.name, "on-demand"),
            "usdPerHour": _usd(model.dedicated_usd_per_hour),
        }
        if own
        else None,
    }


def _hosts(figures: HostFigures) -> dict[str, Any]:
    needed = figures.needed
    return {
        "pool": figures.pool.name,
        "instanceType": figures.instance_type,
        "slots": figures.slots,
        "nodes": needed.nodes,
        "nodesBySlots": needed.by_gpu,
        "nodesByCpu": needed.by_cpu,
        "nodesByMemory": needed.by_memory,
    }


def _claims(figures: ClaimFigures) -> dict[str, Any]:
    by = figures.pool.capacity_type
    return {
        "pool": figures.pool.name,
        "gpuMib": figures.gpu_mib,
        "gpus": figures.gpus,
        "gpusWithCpuAndMemory": figures.gpus_with_hosts,
        "gpusByTheirSum": figures.bound,
        "gpusInEqualSlots": figures.in_equal_slots,
        "gpusWithAPoolForEachSize": figures.by_size,
        "usdPerGibHour": _usd(figures.why_gib(by).value),
        "holders": [
            {
                "name": each.name,
                "pods": each.slots,
                "needMib": sum(each.needs) or None,
                "claimMib": each.claim_mib,
                "usdPerHour": _usd(figures.why_claim(each, by).value),
            }
            for each in figures.holders
        ],
    }


def _placement(placement: Placement) -> dict[str, Any]:
    need, offer = placement.need, placement.offer
    share, unused = need.share, placement.unused_share
    return {
        "name": placement.name,
        "kind": placement.kind,
        "needMib": need.memory_mib,
        "needShare": None if share is None else round(float(share), 4),
        "chosen": placement.chosen,
        "pool": offer.pool.name,
        "slots": offer.slots,
        "claimMib": offer.claim_mib or None,
        "slotMemoryMib": offer.pool.slot_memory_mib,
        "slotShare": round(float(offer.pool.slot_share), 4),
        "given": given(offer.pool),
        "unusedMib": placement.unused_mib,
        "unusedShare": None if unused is None else round(float(unused), 4),
        "usdPerHour": _usd(offer.usd_per_hour),
        "others": [
            {
                "pool": other.pool.name,
                "slots": other.slots,
                "claimMib": other.claim_mib or None,
                "usdPerHour": _usd(other.usd_per_hour),
                "whyNot": other.why_not or None,
            }
            for other in placement.others
        ],
    }


def _service(figures: ServiceFigures) -> dict[str, Any]:
    service, start = figures.service, figures.start
    first = service.first
    return {
        "name": service.name,
        "models": list(figures.model_names),
        "pool": first.pool,
        "minScale": first.min_scale,
        "maxScale": service.max_scale,
        "idle": first.idle,
        "weights": {"source": first.weights.source, "image": first.weights.image, "mib": service.weights_mib},
        "memoryMib": service.memory_mib,
        "coldStart": {
            "seconds": round(start.seconds, 1),
            "warmNodeSeconds": round(start.warm_seconds, 1),
            "steps": [
                {
                    "name": step.name,
                    "seconds": round(step.seconds, 1),
                    "basis": step.basis,
                    "source": step.source,
                    "lever": step.lever,
                }
                for step in start.steps
            ],
        },
        "alone": [{"name": name, "seconds": round(each.seconds, 1)} for name, each in figures.alone],
    }


def _work(work: WorkFigures) -> dict[str, Any]:
    interruptions = work.pool.prices.interruptions
    return {
        "name": work.name,
        "kind": work.kind,
        "importance": work.importance,
        "pool": work.pool.name,
        "capacityTypes": list(work.capacity_types),
        "usdPerHourAtMost": _usd(work.why_at_most.value),
        "whenSpotTakesItsNode": work.taken or None,
        "whenItsBlockEnds": work.ends or None,
        "spotInterruptions": {
            "bands": [{"instanceType": name, "band": band} for name, band in work.interruption_bands.items()],
            "date": interruptions.date if interruptions else None,
            # AWS tells it to who asks, and for the hour in which it is asked.
            "placementScore": None,
        }
        if "spot" in work.capacity_types
        else None,
    }


def _costs(figures: Figures) -> dict[str, Any]:
    bill, usage = figures.bill, figures.config.usage
    return {
        "usage": usage.model_dump(mode="json", by_alias=True),
        "bill": {
            "parts": [{"part": part, "usdPerMonth": _spread(bill.of(part))} for part in bill.parts],
            "usdPerMonth": _spread(bill.of()),
            "idleUsdPerMonth": _cents(figures.idle_usd_per_month),
            "ceilingUsdPerMonth": _cents(bill.ceiling),
            "budgetUsdPerMonth": figures.config.budget.monthly_usd if figures.config.budget else None,
            "lines": [
                {"part": line.part, "name": line.name, "detail": line.detail, "usdPerMonth": _spread(line.usd)}
                for line in bill.lines
            ],
        },
        "consumers": [_consumer(consumer) for consumer in figures.consumers],
        "comparison": _comparison(figures.comparison) if figures.comparison else None,
        "tokens": [_tokens(each) for each in figures.token_costs],
    }


def _consumer(consumer: Consumer) -> dict[str, Any]:
    return {
        "name": consumer.name,
        "kind": consumer.kind,
        "pool": consumer.pool.name,
        "slots": consumer.slots,
        "slotMemoryMib": consumer.slot_memory_mib,
        "needMib": sum(consumer.needs) if consumer.needs else None,
        "hoursPerMonth": round(consumer.hours, 2),
        "always": consumer.part == "always",
        "ownUsdPerHour": _usd(consumer.own_usd_per_hour(consumer.pool.capacity_type)),
    }


def _comparison(comparison: Comparison) -> dict[str, Any]:
    return {
        "ways": [
            {
                "shared": way.shared,
                "spot": way.spot,
                "sleeps": way.sleeps,
                "gpuNodes": cost.nodes,
                "usdPerMonth": _cents(cost.usd_per_month),
            }
            for way, cost in comparison.ways.items()
        ],
        "savingBySharing": round(comparison.saving(WRITTEN, OWN_ALIKE), 4),
        "dearerHoursPerDay": [[round(start, 2), round(end, 2)] for start, end in comparison.dearer],
        "paysFrom": [{"pool": name, "slots": slots} for name, slots in comparison.pays_from.items()],
    }


def _tokens(costs: TokenCosts) -> dict[str, Any]:
    shares = dict(costs.usd)
    evens = {share: costs.break_even(usd) for share, usd in costs.usd}
    return {
        "name": costs.name,
        "rates": [
            {
                "rate": "stated" if tokens is costs.stated else "most",
                "tokensPerMonth": tokens.value,
                "usdPerMillion": _usd(per_million(shares["GPU nodes"], tokens).value),
                "usdPerMillionOfWholeBill": _usd(per_million(shares["whole bill"], tokens).value),
            }
            for _, tokens in costs.rates
        ],
        "breakEvenTokensPerMonth": even.value if (even := evens["GPU nodes"]) else None,
        "breakEvenTokensPerMonthOfWholeBill": even.value if (even := evens["whole bill"]) else None,
    }


def _spread(usd: Spread | None) -> dict[str, Any] | None:
    if usd is None:
        return None
    return {
        "lowUsd": _cents(usd.low),
        "expectedUsd": _cents(usd.expected),
        "highUsd": _cents(usd.high),
    }


def _resource(resource: Resource) -> dict[str, Any]:
    return {
        "urn": resource.urn,
        "type": resource.type,
        "name": resource.name,
        "component": not resource.custom,
        "remote": resource.remote,
        "parent": resource.parent,
        "provider": resource.provider,
        "dependencies": list(resource.dependencies),
        "protect": resource.protect,
        "retainOnDelete": resource.retain_on_delete,
        "inputs": shown(resource.inputs),
    }


def _cents(amount: float | None) -> float | None:
    return None if amount is None else round(amount, 2)


def _usd(amount: float | None) -> float | None:
    """Rounded to what a price has, so that sums of floats do not show."""
    return None if amount is None else round(amount, 6)
