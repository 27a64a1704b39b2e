"""Which EC2 instance types have GPUs, known today or not.

The catalogue (`gpu.catalog`) lists NVIDIA types that exist; money must not depend on the list being fresh. EC2 names
GPU categories with g and p (g, gr, p), so every name that begins so counts as a GPU, whatever its family or size.
AMD's g4ad counts too: it is in category g and costs as much. AWS Trainium, Inferentia, Gaudi and video cards (trn, inf,
dl, vt, f) are not GPUs; a rule can be told to treat such categories like GPUs.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from types import MappingProxyType
from typing import Final

from gpu.catalog import INSTANCE_TYPES, InstanceType
from gpu.contract import ARCH_LABEL, INSTANCE_TYPE_LABEL
from policy.placeholders import PLACEHOLDER

#: Karpenter's own split of a type's name (karpenter-provider-aws v1.15.0, instancetype/types.go instanceTypeScheme).
_NAME: Final = re.compile(r"(?P<category>[a-z]+)(?:-\d+tb)?(?P<generation>\d+)[a-z0-9-]*")
_SIZE: Final = r"(?:nano|micro|small|medium|large|\d*xlarge|metal(?:-[a-z0-9]+)?)"
_IN_TEXT: Final = re.compile(rf"(?<![\w./-])(?:[a-z][a-z-]*\.)*([a-z]+\d[a-z0-9-]*\.{_SIZE})(?![\w-])", re.IGNORECASE)

#: Categories of EC2's GPU types today. A future one also begins with g or p, and is found by name.
GPU_CATEGORIES: Final = ("g", "gr", "p")


Label = tuple[str, ...] | None
"""Values of a label on an instance type; empty: it exists with any value; None: the type does not have it."""


@dataclass(frozen=True)
class Candidate:
    """A GPU type that Karpenter might launch, with the labels by which requirements select it.

    Keys of Karpenter's `instance-*` labels stand without their domain. A label that is not listed may be anything.
    at_least: the least that a number may be where it is not listed.
    """

    name: str
    labels: Mapping[str, Label]
    at_least: Mapping[str, int] = field(default_factory=dict)


def category(name: str) -> str:
    """Category of a type or family: `g` of `g5.xlarge`, `gr` of `gr6`; empty if the name has none."""
    match = _NAME.match(name)
    return match["category"] if match else ""


def is_gpu(name: str, also: Iterable[str] = ()) -> bool:
    """Whether an instance type, family, category or a pattern with `*` names or admits a type with a GPU.

    `also` are further categories to treat like GPUs. SageMaker's `ml.` and similar prefixes are ignored. Of a name
    that is filled in elsewhere what is written tells: `g5.{{ .Values.size }}`.
    """
    name = PLACEHOLDER.sub("", name).strip().lower()
    wanted = tuple(also)
    if "*" in name:
        prefix = name.partition("*")[0]
        return not prefix or prefix[0] in "gp" or any(item.startswith(prefix.rstrip("0123456789.")) for item in wanted)
    if name in (*GPU_CATEGORIES, *wanted):
        return True
    parts = name.split(".")
    found = category(parts[-2] if len(parts) > 1 else parts[0])
    return found[:1] in {"g", "p"} or found in wanted


def is_type(value: str) -> bool:
    """Whether a text is the full name of an instance type, and nothing else."""
    return _IN_TEXT.fullmatch(value) is not None


def is_family(value: str) -> bool:
    """Whether a text is the name of an instance family, such as `g5`, and nothing else."""
    return _NAME.fullmatch(value.strip().lower()) is not None


def gpu_types_in_text(value: str, also: Iterable[str] = ()) -> list[str]:
    """GPU instance types named anywhere in a text."""
    return [name for name in _IN_TEXT.findall(value) if is_gpu(name, also)]


@cache
def candidates(also: tuple[str, ...] = ()) -> tuple[Candidate, ...]:
    """Every GPU type of the catalogue, then one stand-in a category for types that the catalogue does not know."""
    known = (_known(instance_type) for instance_type in INSTANCE_TYPES.values())
    unknown = (_stand_in(name, gpu=True) for name in GPU_CATEGORIES)
    return (*known, *unknown, *(_stand_in(name, gpu=False) for name in also))


def named(values: Iterable[str], also: Iterable[str] = ()) -> Iterator[Candidate]:
    """A candidate for each GPU type or family among `values` that the catalogue does not know."""
    for value in values:
        match = _NAME.match(value)
        if match is None or value in INSTANCE_TYPES or not is_gpu(value, also):
            continue
        family, _, size = value.partition(".")
        labels: dict[str, Label] = {
            "instance-category": (match["category"],),
            "instance-generation": (match["generation"],),
            "instance-family": (family,),
            **_ANY_GPU,
        }
        if size:
            labels |= {INSTANCE_TYPE_LABEL: (value,), "instance-size": () if PLACEHOLDER.search(size) else (size,)}
        yield Candidate(value, labels, _SMALLEST)


_GPU_LABELS: Final = ("instance-gpu-name", "instance-gpu-manufacturer", "instance-gpu-count", "instance-gpu-memory")
_ACCELERATOR_LABELS: Final = (
    "instance-accelerator-name",
    "instance-accelerator-manufacturer",
    "instance-accelerator-count",
)
_ANY_GPU: Final[Mapping[str, Label]] = {
    **dict.fromkeys(_GPU_LABELS, ()),
    **dict.fromkeys(_ACCELERATOR_LABELS, None),
}
#: The smallest that EC2 has: g6f.large has 2 vCPUs, it and g5g.xlarge 8 GiB. A GPU on less would be of no use.
_SMALLEST: Final[Mapping[str, int]] = MappingProxyType({"instance-cpu": 2, "instance-memory": 8192})
#: A name that no requirement lists.
_UNLISTED: Final = ("?",)


def _known(instance_type: InstanceType) -> Candidate:
    nvme = instance_type.local_nvme_gb
    labels: dict[str, Label] = {
        INSTANCE_TYPE_LABEL: (instance_type.name,),
        ARCH_LABEL: (instance_type.arch,),
        "instance-category": (category(instance_type.family),),
        "instance-family": (instance_type.family,),
        "instance-generation": (str(instance_type.generation),),
        "instance-size": (instance_type.size,),
        "instance-cpu": (str(instance_type.vcpus),),
        "instance-memory": (str(instance_type.memory_mib),),
        "instance-local-nvme": (str(nvme),) if nvme else None,
        **_ANY_GPU,
        "instance-gpu-name": (instance_type.gpu.name,),
        "instance-gpu-manufacturer": ("nvidia",),
        "instance-gpu-count": (str(instance_type.gpu_count),),
        "instance-gpu-memory": (str(instance_type.gpu.memory_mib),),
    }
    return Candidate(instance_type.name, labels)


def _stand_in(category_name: str, *, gpu: bool) -> Candidate:
    shared: dict[str, Label] = {
        INSTANCE_TYPE_LABEL: _UNLISTED,
        "instance-category": (category_name,),
        "instance-family": _UNLISTED,
    }
    if gpu:
        return Candidate(f"types of category {category_name}", {**shared, **_ANY_GPU}, _SMALLEST)
    accelerators = dict.fromkeys(_ACCELERATOR_LABELS, ())
    return Candidate(
        f"types of category {category_name}", {**shared, **dict.fromkeys(_GPU_LABELS, None), **accelerators}
    )
