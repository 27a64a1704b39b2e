"""Our reader of the device plugin's configuration and NVIDIA's own agree, on what we write and on what others write.

NVIDIA's is the package `api/config/v1` of its newest module that the proxy serves (`main.go` beside this file).
"""

from __future__ import annotations

import json
import random
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from gpu.sharing import Mig, Mps, NoSharing, SharingProfile, TimeSlicing
from gpu.sharing.plugin_config import _FLAGS, _PLUGIN_FLAGS, PluginConfig, device_plugin_config, read_plugin_config
from gpu.sharing.yaml_text import plugin_document
from tests.gotools import built

pytestmark = pytest.mark.go

Answers = Callable[[Sequence[str]], list[dict[str, Any]]]


@pytest.fixture(scope="module")
def nvidia() -> Answers:
    """NVIDIA's parser: configurations as text to what it makes of each."""
    program = built(Path(__file__).parent, "plugin-config")

    def read(texts: Sequence[str]) -> list[dict[str, Any]]:
        done = subprocess.run([program], input=json.dumps(list(texts)), capture_output=True, text=True, check=True)
        answers: list[dict[str, Any]] = json.loads(done.stdout)
        return answers

    return read


def disagreement(ours: PluginConfig, theirs: dict[str, Any]) -> str:
    """What differs; empty where both read the same."""
    # Beyond the parser: the control daemon looks at the number of clients when it meets the GPU.
    problems = [problem for problem in ours.problems if "clients at most" not in problem]
    if bool(problems) != ("error" in theirs):
        return f"ours: {problems or 'fine'}, NVIDIA's: {theirs.get('error', 'fine')}"
    if problems:
        return ""
    names = {name: f"{name}.shared" if ours.rename else name for name in ours.replicas or {}}
    read = {
        "strategy": ours.replication,
        "mig": ours.mig,
        "replicas": ours.replicas,
        "names": names,
        "lists": ["envvar"] if ours.device_lists is None else list(ours.device_lists),
        # MPS takes one at most, whatever stands there (config.go, NewConfig).
        "oneAtMost": True if ours.replication == "mps" else bool(ours.one_at_most),
    }
    return "".join(f"{key}: ours {read[key]}, NVIDIA's {theirs[key]}; " for key in read if read[key] != theirs[key])


def judge(nvidia: Answers, texts: Sequence[str]) -> list[str]:
    """Disagreements over texts, each with its text."""
    answers = nvidia(texts)
    return [
        f"{text!r}: {why}"
        for text, theirs in zip(texts, answers, strict=True)
        if (why := disagreement(_ours(text), theirs))
    ]


def _ours(text: str) -> PluginConfig:
    """As policies read a text."""
    try:
        return read_plugin_config(plugin_document(text))
    except ValueError as error:
        return PluginConfig(problems=(str(error),))


PROFILES: tuple[SharingProfile, ...] = (
    NoSharing(),
    *(kind(replicas, rename) for kind in (TimeSlicing, Mps) for replicas in (2, 4, 48) for rename in (False, True)),
    Mig("1g.10gb"),
    Mig("7g.80gb"),
)


@pytest.mark.parametrize("untrusted", [False, True])
def test_what_we_write_is_read_as_it_was_meant(nvidia: Answers, untrusted: bool) -> None:
    texts = [yaml.safe_dump(device_plugin_config(profile, untrusted=untrusted)) for profile in PROFILES]
    assert judge(nvidia, texts) == []
    for profile, theirs in zip(PROFILES, nvidia(texts), strict=True):
        assert "error" not in theirs, profile
        assert theirs["lists"] == (["volume-mounts"] if untrusted else ["envvar"])
        if isinstance(profile, TimeSlicing | Mps):
            assert theirs["strategy"] == profile.strategy
            assert theirs["replicas"] == {"nvidia.com/gpu": profile.replicas}
            assert theirs["names"]["nvidia.com/gpu"] == profile.resource_name("al2023")
            assert theirs["oneAtMost"]
        else:
            assert theirs["strategy"] == "none"
            assert theirs["mig"] == ("mixed" if isinstance(profile, Mig) else "none")


#: What others write, well and badly: documents of NVIDIA, AWS and blogs, and each of their near misses.
OTHERS = """
version: v1
---
{}
---
sharing: {timeSlicing: {resources: [{name: nvidia.com/gpu, replicas: 4}]}}
---
version: v2
sharing: {timeSlicing: {resources: [{name: nvidia.com/gpu, replicas: 4}]}}
---
version: 1
---
version: ""
---
version: null
---
Version: v1
Sharing: {MPS: {resources: [{name: nvidia.com/gpu, replicas: 4}]}}
---
sharing: {mps: {Resources: [{name: nvidia.com/gpu, replicas: 4}]}}
---
sharing: {mps: {resources: [{Name: nvidia.com/gpu, replicas: 4}]}}
---
sharing: null
---
sharing: []
---
sharing: {timeSlicing: null}
---
sharing: {mps: null}
---
sharing: {timeSlicing: {}}
---
sharing: {mps: {}}
---
sharing: {timeSlicing: []}
---
sharing: {mps: none}
---
sharing: {timeSlicing: {resources: []}}
---
sharing: {timeSlicing: {resources: null}}
---
sharing: {timeSlicing: {resources: {name: nvidia.com/gpu, replicas: 4}}}
---
sharing: {timeSlicing: {resources: [nvidia.com/gpu]}}
---
sharing: {timeSlicing: {resources: [null]}}
---
sharing: {timeSlicing: {resources: [{replicas: 4}]}}
---
sharing: {timeSlicing: {resources: [{name: nvidia.com/gpu}]}}
---
sharing: {timeSlicing: {resources: [{name: nvidia.com/gpu, replicas: 1}]}}
---
sharing: {timeSlicing: {resources: [{name: nvidia.com/gpu, replicas: 0}]}}
---
sharing: {timeSlicing: {resources: [{name: nvidia.com/gpu, replicas: -4}]}}
---
sharing: {timeSlicing: {resources: [{name: nvidia.com/gpu, replicas: 4.0}]}}
---
sharing: {timeSlicing: {resources: [{name: nvidia.com/gpu, replicas: 4.5}]}}
---
sharing: {timeSlicing: {resources: [{name: nvidia.com/gpu, replicas: "4"}]}}
---
sharing: {timeSlicing: {resources: [{name: nvidia.com/gpu, replicas: true}]}}
---
sharing: {timeSlicing: {resources: [{name: nvidia.com/gpu, replicas: null}]}}
---
sharing: {timeSlicing: {resources: [{name: gpu, replicas: 4}]}}
---
sharing: {timeSlicing: {resources: [{name: amd.com/gpu, replicas: 4}]}}
---
sharing: {timeSlicing: {resources: [{name: nvidia.com/GPU, replicas: 4}]}}
---
sharing: {timeSlicing: {resources: [{name: nvidia.com/, replicas: 4}]}}
---
sharing: {timeSlicing: {resources: [{name: "", replicas: 4}]}}
---
sharing: {timeSlicing: {resources: [{name: null, replicas: 4}]}}
---
sharing: {timeSlicing: {resources: [{name: 7, replicas: 4}]}}
---
sharing: {timeSlicing: {resources: [{name: nvidia.com/mig-1g.5gb, replicas: 2}, {name: nvidia.com/gpu, replicas: 3}]}}
---
sharing: {timeSlicing: {resources: [{name: nvidia.com/gpu, replicas: 2}, {name: nvidia.com/gpu, replicas: 3}]}}
---
sharing: {timeSlicing: {resources: [{name: gpu-with-a-name-that-is-far-too-long-for-any-resource, replicas: 2}]}}
---
sharing: {timeSlicing: {renameByDefault: true, resources: [{name: nvidia.com/gpu, replicas: 4}]}}
---
sharing: {timeSlicing: {renameByDefault: yes, resources: [{name: nvidia.com/gpu, replicas: 4}]}}
---
sharing: {timeSlicing: {renameByDefault: "true", resources: [{name: nvidia.com/gpu, replicas: 4}]}}
---
sharing: {timeSlicing: {renameByDefault: null, resources: [{name: nvidia.com/gpu, replicas: 4}]}}
---
sharing: {timeSlicing: {renameByDefault: 1, resources: [{name: nvidia.com/gpu, replicas: 4}]}}
---
sharing: {timeSlicing: {resources: [{name: nvidia.com/gpu, rename: nvidia.com/slice, replicas: 4}]}}
---
sharing: {mps: {resources: [{name: nvidia.com/gpu, rename: nvidia.com/slice, replicas: 4}]}}
---
sharing: {mps: {renameByDefault: true, resources: [{name: nvidia.com/gpu, rename: slice, replicas: 4}]}}
---
sharing: {mps: {resources: [{name: nvidia.com/gpu, rename: Slice, replicas: 4}]}}
---
sharing: {mps: {resources: [{name: nvidia.com/gpu, rename: null, replicas: 4}]}}
---
sharing: {mps: {resources: [{name: nvidia.com/gpu, rename: "", replicas: 4}]}}
---
sharing: {mps: {resources: [{name: nvidia.com/gpu, replicas: 4, devices: all}]}}
---
sharing: {mps: {resources: [{name: nvidia.com/gpu, replicas: 4, devices: none}]}}
---
sharing: {mps: {resources: [{name: nvidia.com/gpu, replicas: 4, devices: 2}]}}
---
sharing: {mps: {resources: [{name: nvidia.com/gpu, replicas: 4, devices: 0}]}}
---
sharing: {mps: {resources: [{name: nvidia.com/gpu, replicas: 4, devices: null}]}}
---
sharing: {mps: {resources: [{name: nvidia.com/gpu, replicas: 4, devices: []}]}}
---
sharing: {mps: {resources: [{name: nvidia.com/gpu, replicas: 4, devices: [0, "1", "0:1"]}]}}
---
sharing: {mps: {resources: [{name: nvidia.com/gpu, replicas: 4, devices: [GPU-b1028956-cfa2-0990-bf4a-5da9abb51763]}]}}
---
sharing: {mps: {resources: [{name: nvidia.com/gpu, replicas: 4, devices: [MIG-b1028956-cfa2-0990-bf4a-5da9abb51763]}]}}
---
sharing: {mps: {resources: [{name: gpu, replicas: 4, devices: [MIG-GPU-b1028956-cfa2-0990-bf4a-5da9abb51763/3/0]}]}}
---
sharing: {mps: {resources: [{name: nvidia.com/gpu, replicas: 4, devices: [first]}]}}
---
sharing: {mps: {resources: [{name: nvidia.com/gpu, replicas: 4, devices: [-1]}]}}
---
sharing: {mps: {resources: [{name: nvidia.com/gpu, replicas: 4, devices: {count: 2}}]}}
---
sharing:
  timeSlicing: {resources: [{name: nvidia.com/gpu, replicas: 8}]}
  mps: {resources: [{name: nvidia.com/gpu, replicas: 4}]}
---
sharing:
  timeSlicing: {resources: [{name: nvidia.com/gpu, replicas: 8}]}
  mps: {renameByDefault: true, resources: [{name: nvidia.com/gpu, replicas: 4}]}
---
sharing:
  timeSlicing: {resources: [{name: nvidia.com/gpu, replicas: 8}]}
  mps: null
---
sharing:
  timeSlicing: {resources: [{name: nvidia.com/gpu, replicas: 1}]}
  mps: {resources: [{name: nvidia.com/gpu, replicas: 4}]}
---
sharing: {mps: {failRequestsGreaterThanOne: false, resources: [{name: nvidia.com/gpu, replicas: 4}]}}
---
sharing: {timeSlicing: {failRequestsGreaterThanOne: true, resources: [{name: nvidia.com/gpu, replicas: 4}]}}
---
sharing: {timeSlicing: {failRequestsGreaterThanOne: "yes", resources: [{name: nvidia.com/gpu, replicas: 4}]}}
---
flags: {migStrategy: mixed}
---
flags: {migStrategy: single}
---
flags: {migStrategy: Mixed}
---
flags: {migStrategy: all}
---
flags: {migStrategy: ""}
---
flags: {migStrategy: null}
---
flags: {MIGSTRATEGY: single}
---
flags: {migStrategy: [mixed]}
---
flags: null
---
flags: all
---
flags: {migStrategy: mixed}
sharing: {mps: {resources: [{name: nvidia.com/gpu, replicas: 4}]}}
---
flags: {migStrategy: single}
sharing: {mps: {resources: [{name: nvidia.com/gpu, replicas: 4}]}}
---
flags: {migStrategy: mixed}
sharing: {timeSlicing: {resources: [{name: nvidia.com/mig-1g.10gb, replicas: 2}]}}
---
flags: {plugin: {deviceListStrategy: volume-mounts}}
---
flags: {plugin: {deviceListStrategy: [envvar, cdi-cri]}}
---
flags: {plugin: {deviceListStrategy: [mounts]}}
---
flags: {plugin: {deviceListStrategy: []}}
---
flags: {plugin: {deviceListStrategy: null}}
---
flags: {plugin: {deviceListStrategy: 4}}
---
flags: {plugin: null}
---
nobody: {knows: this}
flags: {nor: that}
sharing: {timeSlicing: {andThis: 4, resources: [{name: nvidia.com/gpu, replicas: 4, nor: that}]}}
"""


def others() -> list[str]:
    return [text.strip("\n") for text in OTHERS.split("---\n")]


def test_what_others_write_is_read_alike(nvidia: Answers) -> None:
    texts = [*others(), "", "null", "- a list", "a word"]
    assert len(texts) > 90
    assert judge(nvidia, texts) == []


#: Scalars that YAML's versions and libraries read in different ways.
SCALARS = """
4 0x4 04 010 0o10 0o8 1_000 4_0 1e1 4e0 +4 0b11 99999999999999999999 9223372036854775808 2147483648 .nan .inf -.INF
2026-01-01 y n Y N yes no on off On OFF TRUE tRue ~ null Null nULL 190:20 4. 1:30 "4" !!int&&"4" !!str&&4 !!float&&4
!foo&&4 0.4e1 1E1 -0 0x1F 1e18 1e19 1_0.0 !!binary&&NA== !!int&&4.0 08 0_8 0X4 0B11 0O7 = !!bool&&y !!bool&&x !!int&&x
"""


def test_scalars_are_read_alike_in_every_place(nvidia: Answers) -> None:
    section = "sharing: {{timeSlicing: {{renameByDefault: {}, resources: [{{name: gpu, replicas: {}}}]}}}}"
    scalars = [word.replace("&&", " ") for word in SCALARS.split()]
    flags = [("", name) for name in _FLAGS] + [("plugin: {", name) for name in _PLUGIN_FLAGS]
    texts = [
        *(section.format("true", scalar) for scalar in scalars),
        *(section.format(scalar, 4) for scalar in scalars),
        *(f"flags: {{migStrategy: {scalar}}}" for scalar in scalars),
        *(f"version: {scalar}" for scalar in scalars),
        *(f"flags: {{{place}{name}: {scalar}}}{'}' * bool(place)}" for place, name in flags for scalar in scalars),
    ]
    assert judge(nvidia, texts) == []


#: How YAML puts documents together.
BUILT = (
    "a: &a [{name: gpu, replicas: 4}]\nsharing: {mps: {resources: *a}}",
    "a: &a {resources: [{name: gpu, replicas: 4}]}\nsharing: {mps: {<<: *a, renameByDefault: true}}",
    "<<: {sharing: {mps: {resources: [{name: gpu, replicas: 4}]}}}",
    "sharing: {timeSlicing: {resources: [{name: gpu, replicas: 4, replicas: 8}]}}",
    "version: v1\n---\nversion: v2",
    "---\n---\nversion: v2",
    "a: &a [*a]",
    "!!set {a}",
    "[1]: 2",
    "<<: 4",
)


@pytest.mark.parametrize("text", BUILT)
def test_documents_are_put_together_alike(nvidia: Answers, text: str) -> None:
    assert judge(nvidia, [text]) == []


def grown(random_: random.Random) -> Iterator[str]:
    """Configurations in which several parts are odd at once."""

    def one(*choices: Any) -> Any:
        return random_.choice(choices)

    def resource() -> dict[str, Any]:
        found: dict[str, Any] = {
            "name": one("nvidia.com/gpu", "gpu", "nvidia.com/mig-1g.10gb", None, 3),
            "replicas": one(2, 4, 4, 9, 1, "4", 2.0, None),
        }
        odd: dict[str, tuple[Any, ...]] = {
            "rename": ("nvidia.com/x", "x", "", None, "X y"),
            "devices": ("all", 1, 0, [0], ["0:1"], [], ["a"], None, True, {}),
        }
        for key, values in odd.items():
            if random_.random() < 0.3:
                found[key] = one(*values)
        return {key: value for key, value in found.items() if random_.random() > 0.05}

    def section() -> Any:
        found: dict[str, Any] = {"resources": [resource() for _ in range(one(1, 1, 1, 2, 0))]}
        for key in ("renameByDefault", "failRequestsGreaterThanOne"):
            if random_.random() < 0.5:
                found[key] = one(True, False, True, False, None, "true")
        return one(found, found, found, found, found, found, None, {}, [])

    while True:
        config: dict[str, Any] = {}
        if random_.random() < 0.7:
            config["version"] = one("v1", "v1", "v1", "", None, "v2")
        if random_.random() < 0.5:
            config["flags"] = {"migStrategy": one("none", "single", "mixed", None, "each")}
        sharing = {key: section() for key in ("timeSlicing", "mps") if random_.random() < 0.5}
        config["sharing"] = one(sharing, sharing, sharing, sharing, None)
        yield yaml.safe_dump(config)


def test_three_thousand_grown_configurations_are_read_alike(nvidia: Answers) -> None:
    growing = grown(random.Random(7))
    texts = [next(growing) for _ in range(3000)]
    fine = [text for text in texts if not read_plugin_config(plugin_document(text)).problems]
    assert len(fine) > 300, "most must not be refused for one and the same reason"
    assert judge(nvidia, texts)[:5] == []
