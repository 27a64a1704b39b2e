"""vLLM's memory: what share of a whole GPU a server may take, so that it stays within its slot.

vLLM multiplies the memory that CUDA shows of the device with `--gpu-memory-utilization`, refuses to start when less is
free, and keeps within the product (vllm/v1/worker/utils.py, `request_memory`). `--kv-cache-memory-bytes` sizes the
cache in its place, whatever the product is, and changes nothing of what must be free at the start
(vllm/v1/worker/gpu_worker.py, `determine_available_memory` and `init_device`). `--num-gpu-blocks-override` counts the
cache's blocks in place of both (vllm/v1/core/kv_cache_utils.py); how large one is, the model says.
A CUDA context is there before it counts, and comes on top. On a GPU that is shared by time-slicing or MPS the device is
the whole GPU; a MIG instance is a device of its own.
"""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, assert_never

from gpu.catalog import Gpu
from gpu.pool import Pool
from gpu.sharing import MemoryClaims, Mig, Mps, NoSharing, SharingProfile, TimeSlicing

UTILIZATION: Final = "--gpu-memory-utilization"
CACHE_BYTES: Final = "--kv-cache-memory-bytes"
CACHE_BLOCKS: Final = "--num-gpu-blocks-override"
#: vllm/config/cache.py, `CacheConfig.gpu_memory_utilization`; 0.9 before.
DEFAULT_UTILIZATION: Final = 0.92
_DATA_PARALLEL: Final = "--data-parallel-size"
#: Of data parallelism, the part that is in this pod.
_DATA_PARALLEL_HERE: Final = "--data-parallel-size-local"
#: Each multiplies the GPUs that a server needs (vllm/config/parallel.py, `world_size_across_dp`).
_PARALLEL: Final = ("--tensor-parallel-size", "--pipeline-parallel-size", _DATA_PARALLEL, _DATA_PARALLEL_HERE)
#: Short names (vllm/engine/arg_utils.py, `add_cli_args`).
_SHORT: Final = dict(zip(("-tp", "-pp", "-dp", "-dpl"), _PARALLEL, strict=True))
_OPTIONS: Final = (UTILIZATION, CACHE_BYTES, CACHE_BLOCKS, *_PARALLEL)
#: Letters of an abbreviation from which on it is one of these options, which argparse takes, or could be several, which
#: it refuses.
_SHORTEST: Final = len("--gp")

#: A CUDA context, in MiB: what vLLM's message at the start ("Free memory on device (23.05/23.56 GiB) on startup") shows
#: less than there is on GPUs that are otherwise empty, 0.41 to 0.53 GiB in four logs of 24 to 80 GB GPUs, rounded up.
CONTEXT_MIB = 550

#: Kubernetes' references to variables in commands and arguments, and their escape (Container v1, `command`).
_REFERENCE: Final = re.compile(r"\$(?:(?P<escaped>\$)|\((?P<name>[^()]+)\))")
#: A shell's.
_SHELL_REFERENCE: Final = re.compile(r"\$(?:\{(?P<braced>\w+)\}|(?P<name>\w+))")
#: Sizes of vLLM's options, and what they are multiples of.
_SIZE: Final = re.compile(r"(?P<decimals>\d+(?:\.\d+)?)(?P<decimal>[kmgt])|(?P<whole>\d+)(?P<binary>[KMGT])?")
_POWERS: Final = "KMGT"
_COMMENT: Final = re.compile(r"(?:(?<=\s)|^)#.*$", re.MULTILINE)
_SHELLS: Final = frozenset({"ash", "bash", "dash", "sh", "zsh"})
_LAUNCHERS: Final = "vllm.entrypoints"


def server_words(
    image: str, command: Sequence[str], args: Sequence[str], env: Mapping[str, str] | None = None
) -> Sequence[str] | None:
    """vLLM's own arguments, where a container runs its server; None where it runs something else.

    command, args: as Kubernetes has them; a command replaces the image's own. A script of `sh -c` is read to the end of
    vLLM's command. env: variables whose values are known, for references to them.
    """
    known = env or {}
    words = list(_told([_expanded(word, known) for word in (*command, *args)], known))
    for index, word in enumerate(words):
        program = word.rpartition("/")[2]
        if word.startswith(_LAUNCHERS):
            return _own(words[index + 1 :])
        if program == "vllm" and words[index + 1 : index + 2] == ["serve"]:
            return _own(words[index + 2 :])
    return None if command else _of_image(image, words)


def _of_image(image: str, words: Sequence[str]) -> Sequence[str] | None:
    """Arguments of an image whose own command is the server: vLLM's, and whoever's have its name and take options."""
    parts = re.split(r"[^a-z0-9]+", image.partition("@")[0].rpartition("/")[2].partition(":")[0])
    if "vllm" not in parts:
        return None
    if words[:1] == ["serve"]:
        return words[1:]
    return words if "openai" in parts or (words[:1] and words[0].startswith("--")) else None


def _expanded(word: str, env: Mapping[str, str]) -> str:
    return _REFERENCE.sub(lambda found: "$" if found["escaped"] else env.get(found["name"], found[0]), word)


def _told(words: Sequence[str], env: Mapping[str, str]) -> Iterator[str]:
    """Words, with those of a shell's script in its place; its separators stay, as words of their own."""
    shell = bool(words) and words[0].rpartition("/")[2] in _SHELLS
    for before, word in zip(("", *words), words, strict=False):
        if shell and re.fullmatch(r"-[a-z]*c", before):
            yield from _script(word, env)
        else:
            yield word


def _script(text: str, env: Mapping[str, str]) -> Sequence[str]:
    joined = _COMMENT.sub("", text).replace("\\\n", " ").replace("\n", " ; ")
    known = _SHELL_REFERENCE.sub(lambda found: env.get(found["braced"] or found["name"], found[0]), joined)
    reader = shlex.shlex(known, posix=True, punctuation_chars=True)
    reader.whitespace_split, reader.commenters = True, ""
    try:
        return list(reader)
    except ValueError:  # a quote that is never closed: the shell refuses it too
        return known.split()


def _own(words: Sequence[str]) -> Sequence[str]:
    """Words up to the next command of a script."""
    end = next((index for index, word in enumerate(words) if word and set(word) <= set(";&|()<>")), len(words))
    return words[:end]


def option(words: Sequence[str], name: str) -> str | None:
    """Value of an option, as vLLM reads it; None where there is none.

    The last counts, underscores are hyphens, and what begins like one option alone is that option (argparse).
    """
    found = None
    for index, word in enumerate(words):
        key, equals, value = word.partition("=")
        if _full(key) == name:
            found = value if equals else words[index + 1] if index + 1 < len(words) else ""
    return found


def _full(key: str) -> str:
    """Name of an option by what was written for it."""
    if key in _SHORT:
        return _SHORT[key]
    key = key.replace("_", "-")
    meant = [name for name in _OPTIONS if name.startswith(key)] if len(key) >= _SHORTEST else []
    return meant[0] if len(meant) == 1 else key


def size(written: str) -> int | None:
    """Bytes of a size as vLLM reads it (vllm/engine/arg_utils.py, `human_readable_int`); None where it refuses it.

    k, m, g and t are powers of 1000, and take decimals; K, M, G and T are powers of 1024.
    """
    found = _SIZE.fullmatch(written.strip())
    if found is None:
        return None
    if found["decimal"]:
        return int(float(found["decimals"]) * 1000 ** (_POWERS.index(found["decimal"].upper()) + 1))
    return int(found["whole"]) << 10 * (_POWERS.index(found["binary"]) + 1 if found["binary"] else 0)


def parallel(words: Sequence[str]) -> Mapping[str, int]:
    """Options by which a server takes several GPUs of its pod, and how many; their product is what it needs."""
    found = {name: int(value) for name in _PARALLEL if (value := option(words, name)) and value.isdecimal()}
    if _DATA_PARALLEL_HERE in found:
        found.pop(_DATA_PARALLEL, None)
    return {name: count for name, count in found.items() if count > 1}


def largest_utilization(pool: Pool, promised_mib: int | None = None) -> float:
    """Largest share with which a server stays within its slot on every GPU of the pool, in hundredths.

    promised_mib: what it needs by its claim, where the pool's pods claim memory.
    """
    # What is too large for all of them is refused elsewhere.
    able = [t.gpu for t in pool.types if t.gpu.usable_mib >= (promised_mib or 0)] or [t.gpu for t in pool.types]
    shares = (
        ((promised_mib or pool.profile.slot_memory_mib(gpu)) - CONTEXT_MIB) / _device_mib(pool.profile, gpu)
        for gpu in able
    )
    return max(math.floor(min(shares) * 100) / 100, 0.0)


def unequal_gpus(pool: Pool, promised_mib: int) -> Sequence[int]:
    """Memory in MiB of the GPUs that hold a claim, least first, where no one share is as much on each; else nothing.

    Shares are written in hundredths: GPUs that differ by less are alike.
    """
    able = sorted({t.gpu.memory.total_mib for t in pool.types if t.gpu.usable_mib >= promised_mib})
    return able if able and able[-1] - able[0] > able[-1] / 100 else ()


def _device_mib(profile: SharingProfile, gpu: Gpu) -> int:
    """What CUDA shows at most of the device that a slot is."""
    match profile:
        case NoSharing() | TimeSlicing() | Mps() | MemoryClaims():
            return gpu.memory.total_mib
        case Mig():
            return profile.slot_memory_mib(gpu)
        case _:
            assert_never(profile)
