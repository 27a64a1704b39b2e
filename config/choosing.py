"""Writes docs/choosing.md, the tables by which people choose: `python -m config.choosing`; `--check` only compares."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from config.document import publish
from config.starter import MEANINGS
from gpu import prices
from gpu.catalog import FAMILIES, UNSUPPORTED_FAMILIES
from gpu.models import MODELS, OVERHEAD_MIB, model_memory

TARGET: Final = Path(__file__).resolve().parent.parent / "docs" / "choosing.md"
_REGION: Final = "us-east-1"
_CONTEXT: Final = 4096

_PAGE: Final = """# Choosing a GPU, a way to share it, and models

`slices init` writes a stack file from these three choices, and offers only what goes together: a region that has the
GPU, a way to share that the GPU can, slots that hold the models. `slices plan` says the rest: slots, prices, how long a
model takes to wake. This page is generated (`make docs`).

## GPUs, by memory

{gpus}

GiB is what all applications on one GPU can have together; slots divide it
([where the figures are from](catalog.md#memory-of-a-gpu)). Prices are those of {date} in {region}, in USD per hour, for
the node with the fewest GPUs; Spot prices are estimates. In a region without prices everything works but the sums.
Not supported: {unsupported}.

## Ways to share

{strategies}

[sharing.md](sharing.md) compares them.

## Models that are known

Memory at {context} tokens of context, one request at a time, KV cache in f16. `need` is what a slot must have: weights,
KV cache, and {overhead:.1f} GiB that each model's process takes. A longer context or more requests at once need more KV
cache, in proportion: see `contextLength`, `parallel` and `kvCacheType` of a [model](configuration.md#gpu-slicesmodels).

{models}

Any other model of Ollama's can be served as well: write `weightsMib`, `kvKibPerToken` and `maxContext` beside its name.
The weights are the size that `ollama list` shows. The KV cache of a token, in KiB, is 2 x layers x KV heads x length of
a key x 2 bytes / 1024: `ollama show -v MODEL` prints these as `block_count`, `attention.head_count_kv` and
`attention.key_length`.
"""


def page() -> str:
    """The page."""
    unsupported = "; ".join(f"{family} ({why})" for family, why in UNSUPPORTED_FAMILIES.items())
    return _PAGE.format(
        gpus="\n".join(_gpus()),
        region=_REGION,
        date=prices.of(_REGION).on_demand_date,
        unsupported=unsupported,
        strategies="\n".join(f"- `{strategy}`: {meaning}." for strategy, meaning in MEANINGS.items()),
        context=_CONTEXT,
        overhead=OVERHEAD_MIB / 1024,
        models="\n".join(_models()),
    )


def _gpus() -> Iterator[str]:
    yield "| GiB | family | GPU | GPUs of a node | MIG | on-demand | Spot | regions |"
    yield "|---:|---|---|---|---|---:|---:|---:|"
    known = prices.of(_REGION)
    supported = [types for family, types in FAMILIES.items() if family not in UNSUPPORTED_FAMILIES]
    for types in sorted(supported, key=lambda types: types[0].gpu.usable_mib):
        fewest = [t for t in types if t.gpu_count == min(t.gpu_count for t in types)]
        smallest = min(fewest, key=lambda t: known.node_usd_per_hour(t.name, "on-demand") or math.inf)
        counts = ", ".join(str(count) for count in sorted({t.gpu_count for t in types}))
        regions = {region for t in types for region in t.zone_ids}
        cells = (
            f"{smallest.gpu.usable_mib / 1024:.1f}",
            f"`{smallest.family}`" + ("" if smallest.arch == "amd64" else " (arm64)"),
            smallest.gpu.product,
            counts,
            "yes" if smallest.gpu.mig_profiles else "no",
            _usd(known.node_usd_per_hour(smallest.name, "on-demand")),
            _usd(known.node_usd_per_hour(smallest.name, "spot")),
            str(len(regions)),
        )
        yield f"| {' | '.join(cells)} |"


def _usd(price: float | None) -> str:
    return "unknown" if price is None else f"{price:.2f}"


def _models() -> Iterator[str]:
    yield "| model | weights, GiB | KV cache, GiB | need, GiB | longest context |"
    yield "|---|---:|---:|---:|---:|"
    for spec in sorted(MODELS.values(), key=lambda spec: spec.weights_mib):
        memory = model_memory(spec, context_length=_CONTEXT)
        sizes = (memory.weights_mib, memory.kv_cache_mib, memory.total_mib)
        cells = (f"`{spec.name}`", *(f"{size / 1024:.1f}" for size in sizes), f"{spec.max_context:,}")
        yield f"| {' | '.join(cells)} |"


def main(arguments: list[str]) -> int:
    """Write the page, or with `--check` say whether it is fresh (exit status 1 if not)."""
    return publish(TARGET, page(), arguments, "is not what the tables say: run make docs")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
