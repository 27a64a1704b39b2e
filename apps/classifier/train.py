"""Trains the model in seconds: `python -m classifier.train FILE [--samples FOLDER]`. Needs requirements-train.txt.

The data are scikit-learn's digits: 1797 pictures of 8 x 8 pixels that people wrote (E. Alpaydin, C. Kaynak: Optical
Recognition of Handwritten Digits, UCI, CC BY 4.0). A quarter of them is held out, and says how good the model is.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator
from PIL import Image
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier

#: Of the held-out pictures; a build whose model is worse ends.
LEAST_ACCURACY = 0.95
_SEED = 0
#: ONNX' operators and format of 2023: old enough for any runtime of today.
_OPSET, _IR = 19, 9
#: Side of the samples, in pixels.
_SAMPLE_SIDE = 512
_MOST_INK = 16.0


def main() -> int:
    """Train, compare, write; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m classifier.train", description=__doc__)
    parser.add_argument("model", type=Path, help="file to write")
    parser.add_argument("--samples", type=Path, help="folder for held-out pictures, named LABEL-NUMBER.png")
    given = parser.parse_args()
    data = load_digits()
    split = train_test_split(data.data / _MOST_INK, data.target, stratify=data.target, random_state=_SEED)
    learnt, held_out, labels, expected = (np.asarray(part) for part in split)
    network = MLPClassifier(hidden_layer_sizes=(64,), max_iter=400, random_state=_SEED).fit(learnt, labels)
    made = as_onnx(network)
    (found,) = ReferenceEvaluator(made).run(["probabilities"], {"image": held_out.astype(np.float32)})
    if not np.allclose(found, network.predict_proba(held_out), atol=1e-4):
        print("the ONNX file computes something else than what was trained", file=sys.stderr)  # noqa: T201
        return 1
    accuracy = float((found.argmax(axis=1) == expected).mean())
    print(f"{accuracy:.3f} of {len(expected)} held-out pictures are recognised")  # noqa: T201
    if accuracy < LEAST_ACCURACY:
        return 1
    helper.set_model_props(made, {"classes": ",".join(map(str, network.classes_)), "accuracy": f"{accuracy:.4f}"})
    onnx.save(made, given.model)
    if given.samples:
        write_samples(given.samples, held_out, expected)
    return 0


def as_onnx(network: Any) -> Any:
    """The trained layers as a graph of Gemm, Relu and Softmax, which every provider of the runtime computes."""
    nodes, constants, last = [], [], "image"
    for place, (weights, bias) in enumerate(zip(network.coefs_, network.intercepts_, strict=True)):
        constants += [
            numpy_helper.from_array(weights.astype(np.float32), f"weights{place}"),
            numpy_helper.from_array(bias.astype(np.float32), f"bias{place}"),
        ]
        nodes.append(helper.make_node("Gemm", [last, f"weights{place}", f"bias{place}"], [f"sum{place}"]))
        final = place == len(network.coefs_) - 1
        last = "probabilities" if final else f"hidden{place}"
        nodes.append(helper.make_node("Softmax" if final else "Relu", [f"sum{place}"], [last]))
    pictures = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["pictures", network.n_features_in_])
    shares = helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["pictures", len(network.classes_)])
    graph = helper.make_graph(nodes, "digits", [pictures], [shares], constants)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR)
    onnx.checker.check_model(made, full_check=True)
    return made


def write_samples(folder: Path, pictures: Any, labels: Any) -> None:
    """Held-out pictures as people would send them: ink on paper, large."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, (picture, label) in enumerate(zip(pictures, labels, strict=True)):
        paper = ((1 - picture.reshape(8, 8)) * 255).astype(np.uint8)
        large = Image.fromarray(paper).resize((_SAMPLE_SIDE, _SAMPLE_SIDE), Image.Resampling.BICUBIC)
        large.save(folder / f"{label}-{number}.png")


if __name__ == "__main__":
    sys.exit(main())
