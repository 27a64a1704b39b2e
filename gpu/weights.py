"""Where a model's weights come from: a new source is a member of `WeightsSource` and a row of `WEIGHTS`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

WeightsSource = Literal["node-cache", "image", "baked"]


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightsTraits:
    """What others ask about a source of weights."""

    cached: bool
    """Whether a pod's first container fetches them into the node's cache."""
    from_image: bool
    """Whether an image must be named that holds them."""
    mounted: bool
    """Whether they are a volume of the pod; else they are in the server's own image."""


WEIGHTS: Mapping[WeightsSource, WeightsTraits] = MappingProxyType(
    {
        "node-cache": WeightsTraits(cached=True, from_image=False, mounted=True),
        "image": WeightsTraits(cached=False, from_image=True, mounted=True),
        "baked": WeightsTraits(cached=False, from_image=True, mounted=False),
    }
)
