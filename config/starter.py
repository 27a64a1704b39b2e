"""A stack file to begin with, from a few choices: what `slices init` offers and writes.

What can be chosen is what `config.load` finds nothing wrong with: there is no second opinion of what fits.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from types import MappingProxyType
from typing import Any, assert_never

from config.errors import ConfigError, Problem
from config.load import parse
from config.pools import network_zones
from gpu.catalog import FAMILIES, UNSUPPORTED_FAMILIES, InstanceType
from gpu.pool import Pool
from gpu.sharing import MIN_REPLICAS, Strategy

#: What each strategy means, in one line, in the order in which they are offered: first what does is suggested.
MEANINGS: Mapping[Strategy, str] = MappingProxyType(
    {
        "time-slicing": "models take turns on the GPU; nothing isolates their memory",
        "mps": "models run side by side, each with an enforced share of memory and threads",
        "mig": "hardware partitions, isolated from each other",
        "none": "each model has a whole GPU",
        "memory": "models claim as much of the GPU's memory as each needs; nothing isolates it (alpha)",
    }
)

POOL = "gpus"
#: A range of documentation (RFC 5737): a plan takes it, `pulumi up` refuses it.
_EXAMPLE_RANGE = "203.0.113.0/24"


@dataclass(frozen=True, kw_only=True)
class Choices:
    """What somebody wants. models: Ollama's names. monthly_usd counts where there are e-mail addresses."""

    region: str
    models: tuple[str, ...]
    families: tuple[str, ...]
    strategy: Strategy
    emails: tuple[str, ...] = ()
    monthly_usd: float = 400


@dataclass(frozen=True, kw_only=True)
class Starter:
    """A configuration that comes of choices. ``values`` are by key without the project's name."""

    choices: Choices
    values: Mapping[str, Any] = field(repr=False)
    pool: Pool
    """The one pool, resolved."""


def starter(choices: Choices, stack: str = "new") -> Starter:
    """The configuration with as few slots per GPU as hold all models at once, and with fewer where they are too small.

    Raises ConfigError with what is wrong with the last that was tried, where none is right.
    """
    problems: Sequence[Problem] = ()
    for sharing, gpus in _sharings(choices):
        values = _values(choices, sharing, max_gpus=_smallest_count(choices))
        try:
            pool = parse(values, stack=stack, region=choices.region).gpu_pools[POOL]
            # With its slots known: room for every model at once, and for a node of every family.
            needed = max(gpus or -(-len(choices.models) // pool.slots_per_gpu), *_counts(choices))
            step = _smallest_count(choices)
            values = _values(choices, sharing, max_gpus=-(-needed // step) * step)
            if len(choices.models) > 1:
                values["dialogue"] = _dialogue([model["name"] for model in values["models"]])
            config = parse(values, stack=stack, region=choices.region)
        except ConfigError as error:
            problems = error.problems
            continue
        return Starter(choices=choices, values=values, pool=config.gpu_pools[POOL])
    raise ConfigError(stack, problems)


def starters(region: str, models: tuple[str, ...], families: tuple[str, ...] = ()) -> Iterator[Starter]:
    """Every single family, or the families given together, with every strategy that holds the models."""
    choices = [families] if families else [(name,) for name in FAMILIES if name not in UNSUPPORTED_FAMILIES]
    for chosen in choices:
        for way in MEANINGS:
            try:
                yield starter(Choices(region=region, models=models, families=chosen, strategy=way))
            except ConfigError:
                continue


def suggested(found: Sequence[Starter]) -> Starter | None:
    """The one whose first node is cheapest, of equal ones the first; without prices the one with the smallest GPU.

    Nodes with Graviton processors only where there are no others: not every image has a build for them.
    """
    return min(found, key=_dearness, default=None)


def _dearness(made: Starter) -> tuple[bool, float, int]:
    price, first = made.pool.price, made.pool.smallest
    usd = price.usd_per_hour(made.pool.capacity_type) if price else float("inf")
    return (first.arch != "amd64", usd, first.gpu.usable_mib)


def service_names(models: Sequence[str]) -> Sequence[str]:
    """A name for each model's service, without its tag where that is clear: `llama3.2:3b` is `llama3-2`."""
    bare = [model.partition(":")[0] for model in models]
    names = [short if bare.count(short) == 1 else model for short, model in zip(bare, models, strict=True)]
    return [re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") for name in names]


def text(made: Starter) -> str:
    """The stack file."""
    choices, values = made.choices, made.values
    pool = values["pools"][0]
    products = " or ".join(dict.fromkeys(kind.gpu.product for kind in made.pool.types))
    gib = made.pool.slot_memory_mib / 1024
    lines = [
        "# yaml-language-server: $schema=docs/stack.schema.json",
        f"# {products}: {MEANINGS[choices.strategy]}.",
        "# Every key is in docs/configuration.md, other GPUs and models in docs/choosing.md.",
        "config:",
        f"  aws:region: {choices.region}",
        "  gpu-slices:cluster:",
        "    # Who reaches the API server: write your own public address here before `pulumi up`, which refuses this",
        "    # example: curl https://checkip.amazonaws.com",
        f"    publicAccessCidrs: [{_EXAMPLE_RANGE}]",
        "  gpu-slices:network:",
        "    # All that offer the types. Written down, because EKS cannot move a control plane when pools change.",
        f"    zoneIds: {_flow(values['network']['zoneIds'])}",
        "  gpu-slices:pools:",
        f"    - name: {POOL}",
        "      # More families are easier to get as Spot.",
        f"      instanceFamilies: {_flow(pool['instanceFamilies'])}",
        f"      gpusPerNode: {_flow(pool['gpusPerNode'])}",
        "      # Most GPUs at a time. None is bought before somebody asks a model, and none is kept afterwards.",
        f"      maxGpus: {pool['maxGpus']}",
        f"      # {_parts(made)} {gib:.1f} GiB.",
        "      sharing:",
        *(f"        {key}: {value}" for key, value in pool["sharing"].items()),
        "  gpu-slices:models:",
        *(
            f"    - {{ name: {model['name']}, model: {json.dumps(model['model'])}, pool: {POOL} }}"
            for model in values["models"]
        ),
    ]
    if dialogue := values.get("dialogue"):
        lines += ["  # Models that talk to each other, on a page or in a terminal: docs/dialogue.md."]
        lines += ["  gpu-slices:dialogue:"]
        lines += [f"    {key}: {_flow(names)}" for key, names in dialogue.items()]
        lines += ["    # The page, built with Docker from apps/dialogue:", "    # image: build"]
    if values.get("examples") is False:
        lines += ["  # Their CUDA job asks for a slot, and these GPUs have claims.", "  gpu-slices:examples: false"]
    if budget := values.get("budget"):
        lines += [
            "  # At 100 % no new GPU node is bought until the month ends: docs/costs.md.",
            "  gpu-slices:budget:",
            f"    monthlyUsd: {budget['monthlyUsd']:.15g}",
            f"    emails: {_flow(budget['emails'])}",
        ]
    return "\n".join(lines) + "\n"


def _parts(made: Starter) -> str:
    if made.choices.strategy == "memory":
        return "Each model claims what it needs of a GPU's"
    count = made.pool.slots_per_gpu
    return f"{'One slot' if count == 1 else f'{count} slots'} per GPU, each with"


def _flow(entries: Sequence[str | int]) -> str:
    """A list in one line. Texts that YAML would read as something else stand in quotes."""
    plain = re.compile(r"[a-z][a-z0-9-]*[0-9-][a-z0-9-]*|[a-z]{4,}")
    words = [str(e) if isinstance(e, int) or plain.fullmatch(e) else json.dumps(e, ensure_ascii=False) for e in entries]
    return f"[{', '.join(words)}]"


def _values(choices: Choices, sharing: Mapping[str, Any], max_gpus: int) -> dict[str, Any]:
    types = _types(choices)
    names = service_names(choices.models)
    values: dict[str, Any] = {
        "cluster": {"publicAccessCidrs": [_EXAMPLE_RANGE]},
        "network": {"zoneIds": list(network_zones(choices.region, types))},
        "pools": [
            {
                "name": POOL,
                "instanceFamilies": list(choices.families),
                "gpusPerNode": sorted(_counts(choices)),
                "maxGpus": max_gpus,
                "sharing": dict(sharing),
            }
        ],
        "models": [
            {"name": name, "model": model, "pool": POOL} for name, model in zip(names, choices.models, strict=True)
        ],
    }
    if choices.strategy == "memory":
        values["examples"] = False
    if choices.emails:
        values["budget"] = {"monthlyUsd": choices.monthly_usd, "emails": list(choices.emails)}
    return values


def _dialogue(names: Sequence[str]) -> Mapping[str, Sequence[str]]:
    """The first two talk, the others can be asked to join."""
    return {"speakers": names[:2]} | ({"guests": names[2:]} if names[2:] else {})


def _types(choices: Choices) -> Sequence[InstanceType]:
    """What the pool may buy: of each family the nodes with fewest GPUs."""
    offered = [t for family in choices.families for t in FAMILIES.get(family, ()) if choices.region in t.zone_ids]
    counts = _counts(choices)
    return [t for t in offered if t.gpu_count in counts]


def _counts(choices: Choices) -> set[int]:
    """GPUs of a node: the fewest that each family has in the region."""
    of_family = [
        [t.gpu_count for t in FAMILIES.get(family, ()) if choices.region in t.zone_ids] for family in choices.families
    ]
    return {min(counts) for counts in of_family if counts} or {1}


def _smallest_count(choices: Choices) -> int:
    return min(_counts(choices))


def _sharings(choices: Choices) -> Iterator[tuple[Mapping[str, Any], int | None]]:
    """Ways to cut the GPUs: first the one with as many slots as there are models, or the smallest partitions.

    With each the GPUs that hold all models at once, where their slots do not tell it: of claims the fewest that do.
    """
    match choices.strategy:
        case "none":
            yield {"strategy": "none"}, None
        case "memory":
            for gpus in range(1, len(choices.models) + 1):
                yield {"strategy": "memory"}, gpus
        case "time-slicing" | "mps":
            for replicas in range(max(MIN_REPLICAS, len(choices.models)), MIN_REPLICAS - 1, -1):
                yield {"strategy": choices.strategy, "replicas": replicas}, None
        case "mig":
            layouts = [list(t.gpu.mig_profiles) for t in _types(choices)] or [[]]
            common = reduce(lambda left, right: [name for name in left if name in right], layouts)
            for profile in common or ["1g.10gb"]:  # what is wrong with GPUs without MIG, the configuration says
                yield {"strategy": "mig", "profile": profile}, None
        case _:
            assert_never(choices.strategy)
