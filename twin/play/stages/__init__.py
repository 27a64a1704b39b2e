"""How kwok plays kubelets: nodes get ready, pods run, finish and go. The stages are the files of this folder.

A GPU node joins without any GPU, as real nodes do: `twin.play.agent.plugin` offers it later. Karpenter's simulated EC2
would put the physical GPUs on the Node at once; an admission policy takes them off before anybody can see them.
"""

from __future__ import annotations

from pathlib import Path

import yaml

from twin.kube.client import Object

FOLDER = Path(__file__).parent
#: What kwok gets, in this order: its own settings and the stages of nodes and pods.
KWOK = ("kwok", "node-ready", "pod-running", "pod-succeeded", "pod-ended", "pod-gone", "job-pod-gone")


def stages_file() -> str:
    """kwok's configuration file."""
    return "---\n".join(_text(name) for name in KWOK)


def no_early_gpus() -> list[Object]:
    """The admission policy: new nodes show no GPU, whatever made them."""
    return list(yaml.safe_load_all(_text("no-early-gpus")))


def _text(name: str) -> str:
    return (FOLDER / f"{name}.yaml").read_text(encoding="utf-8")
