"""The model: an ONNX file, on the GPU where there is one.

Its input is called `image`, [pictures, 64] float32: 8 x 8 pixels from 0 (paper) to 1 (ink). Its output is
`probabilities`, [pictures, classes]. The file's metadata has the classes' names.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

CUDA, CPU = "CUDAExecutionProvider", "CPUExecutionProvider"
#: Side of the pictures that the model takes, in pixels.
SIDE = 8


class ModelError(Exception):
    """The file cannot be used; the message says why."""


@dataclass(frozen=True)
class Answer:
    """What a picture shows. confidence: from 0 to 1, as all values of probabilities."""

    label: str
    confidence: float
    probabilities: dict[str, float]


class Model:
    """A model that is loaded. provider: what of the runtime computes it, `CUDAExecutionProvider` or `CPU…`."""

    def __init__(self, path: Path, gpu_memory_mib: int) -> None:
        if not path.is_file():
            raise ModelError(f"{path}: there is no such file; `python -m classifier.train {path}` makes it")
        options = onnxruntime.SessionOptions()
        # Replicas share processors as they share the GPU: each would take a thread for every one there is.
        options.intra_op_num_threads = 1
        try:
            self._session: Any = onnxruntime.InferenceSession(
                path, sess_options=options, providers=_providers(gpu_memory_mib)
            )
            found = self._session.get_modelmeta().custom_metadata_map
            self.classes: tuple[str, ...] = tuple(found["classes"].split(","))
            self.accuracy = float(found["accuracy"])
        except KeyError as missing:
            raise ModelError(f"{path}: its metadata lack {missing}") from missing
        except Exception as error:  # the runtime's errors have no class in common
            raise ModelError(f"{path}: {str(error).splitlines()[0]}") from error
        # What could be had: without a driver the CUDA provider is left out while the session is made, with a warning.
        self.provider: str = self._session.get_providers()[0]

    def classify(self, pixels: Any) -> Answer:
        """What a picture of SIDE x SIDE pixels shows, ink 1 and paper 0. Safe from several threads."""
        (found,) = self._session.run(["probabilities"], {"image": pixels.reshape(1, -1).astype(np.float32)})
        shares = dict(zip(self.classes, (round(float(share), 4) for share in found[0]), strict=True))
        label = self.classes[int(found[0].argmax())]
        return Answer(label, shares[label], shares)


def _providers(gpu_memory_mib: int) -> list[Any]:
    if CUDA not in onnxruntime.get_available_providers():
        return [CPU]
    # CUDA's libraries come as Python packages, where no loader looks.
    onnxruntime.preload_dlls()
    limits = {"gpu_mem_limit": gpu_memory_mib * 1024 * 1024, "arena_extend_strategy": "kSameAsRequested"}
    return [(CUDA, limits), CPU]
