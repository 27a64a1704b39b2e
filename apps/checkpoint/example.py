"""A job with checkpoints: logistic regression by stochastic gradient descent, on samples drawn as it goes.

`python -m checkpoint.example --steps 400` prints the weights and a digest of them. The state holds the weights and the
generator of random numbers, so that a run that was interrupted draws the samples that an unbroken one draws.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import random
import time
from functools import partial
from pathlib import Path
from typing import NamedTuple

from checkpoint import Checkpoints

_FEATURES = 16
_BATCH = 32
_RATE = 0.1


class Training(NamedTuple):
    """What the next step depends on, all of it."""

    weights: list[float]
    generator: random.Random


def begin(seed: int) -> Training:
    """Before the first step."""
    return Training([0.0] * _FEATURES, random.Random(seed))


def work(training: Training) -> Training:
    """One step: a batch of samples of a plane that is hidden in noise, and a step against the gradient."""
    weights, draw = training
    gradient = [0.0] * _FEATURES
    for _ in range(_BATCH):
        sample = [draw.gauss(0, 1) for _ in range(_FEATURES)]
        label = sum(x * (i % 5 - 2) for i, x in enumerate(sample)) + draw.gauss(0, 0.5) > 0
        guess = 1 / (1 + math.exp(-sum(w * x for w, x in zip(weights, sample, strict=True))))
        for i, x in enumerate(sample):
            gradient[i] += (guess - label) * x / _BATCH
    return Training([w - _RATE * g for w, g in zip(weights, gradient, strict=True)], draw)


def write(training: Training, folder: Path) -> None:
    """Floats as hexadecimal digits: they are read as exactly what they were."""
    version, internal, gauss = training.generator.getstate()
    (folder / "weights.json").write_text(json.dumps([weight.hex() for weight in training.weights]), encoding="utf-8")
    (folder / "random.json").write_text(json.dumps([version, internal, gauss]), encoding="utf-8")


def read(folder: Path) -> Training:
    """What `write` has written."""
    weights = [float.fromhex(text) for text in json.loads((folder / "weights.json").read_text(encoding="utf-8"))]
    version, internal, gauss = json.loads((folder / "random.json").read_text(encoding="utf-8"))
    generator = random.Random()
    generator.setstate((version, tuple(internal), gauss))
    return Training(weights, generator)


def digest(training: Training) -> str:
    """One text for all bits of the weights."""
    return hashlib.sha256(" ".join(weight.hex() for weight in training.weights).encode()).hexdigest()


def main() -> None:
    """Train, and print what came out."""
    parser = argparse.ArgumentParser(prog="python -m checkpoint.example", description=__doc__)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--step-seconds", type=float, default=0.0, help="time that a step takes beside its arithmetic")
    arguments = parser.parse_args()
    with Checkpoints.from_environment() as checkpoints:
        step, training = checkpoints.resume(read) or (0, begin(arguments.seed))
        while step < arguments.steps:
            training, step = work(training), step + 1
            time.sleep(arguments.step_seconds)
            print(f"step {step} at {time.monotonic():.4f}", flush=True)  # noqa: T201
            checkpoints.reached(step, partial(write, training))
        # A pod that is lost between here and its end has nothing to do again.
        checkpoints.save(step, partial(write, training))
    print(f"result {digest(training)}", flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
