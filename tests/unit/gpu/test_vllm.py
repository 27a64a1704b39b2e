"""vLLM's share of a GPU, worked by hand from the driver's figures."""

import pytest

from gpu import prices, vllm
from gpu.catalog import INSTANCE_TYPES
from gpu.pool import Pool
from gpu.sharing import Mig, Mps, NoSharing, SharingProfile, TimeSlicing


def pool(profile: SharingProfile, *types: str) -> Pool:
    known = tuple(INSTANCE_TYPES[name] for name in types)
    return Pool(name="p", profile=profile, types=known, max_gpus=8, prices=prices.of("us-east-1"))


@pytest.mark.parametrize(
    ("profile", "types", "share"),
    [
        # L4: 23034 MiB, of which the driver keeps 692; (22342 // 3 - 550) / 23034 = 0.299.
        (TimeSlicing(replicas=3), ["g6.xlarge"], 0.29),
        # The smallest counts: T4, 15360 - 450; (14910 // 2 - 550) / 15360 = 0.449.
        (TimeSlicing(replicas=2), ["g4dn.xlarge", "g6.xlarge"], 0.44),
        # MPS' clients see the whole GPU; (22342 // 2 - 550) / 23034 = 0.461.
        (Mps(replicas=2), ["g6.xlarge"], 0.46),
        # (22342 - 550) / 23034 = 0.946: vLLM's default fits.
        (NoSharing(), ["g6.xlarge"], 0.94),
        # Nothing is left beside the context.
        (TimeSlicing(replicas=40), ["g6.xlarge"], 0.0),
    ],
)
def test_the_largest_share(profile: SharingProfile, types: list[str], share: float) -> None:
    assert vllm.largest_utilization(pool(profile, *types)) == share


def test_a_mig_instance_is_a_device_of_its_own() -> None:
    """1g.10gb of an H100 has 9.75 GiB, 9984 MiB: (9984 - 550) / 9984 = 0.944."""
    assert vllm.largest_utilization(pool(Mig(profile="1g.10gb"), "p5.4xlarge")) == 0.94


def test_whoever_keeps_to_the_share_leaves_the_others_their_slots() -> None:
    cut = pool(TimeSlicing(replicas=3), "g6.xlarge")
    taken = vllm.largest_utilization(cut) * cut.types[0].gpu.memory.total_mib + vllm.CONTEXT_MIB
    assert taken <= cut.slot_memory_mib < taken + 0.01 * cut.types[0].gpu.memory.total_mib


SHELL = ["bash", "-ec"]
OPENAI = "docker.io/vllm/vllm-openai:v0.11.0"


@pytest.mark.parametrize(
    ("image", "command", "args", "own"),
    [
        (OPENAI, [], [], []),
        (OPENAI, [], ["--model", "m"], ["--model", "m"]),
        ("1.dkr.ecr.us-east-1.amazonaws.com/mirror/vllm-openai@sha256:0", [], ["m"], ["m"]),
        # Images of others whose own command is the server.
        ("public.ecr.aws/deep-learning-containers/vllm:0.11-gpu", [], ["--model=m"], ["--model=m"]),
        ("ghcr.io/acme/vllm:1", [], ["serve", "m"], ["m"]),
        ("nvcr.io/nvidia/vllm:25.09-py3", [], ["vllm", "serve", "m"], ["m"]),
        ("ghcr.io/acme/app:1", ["vllm", "serve", "m"], [], ["m"]),
        ("ghcr.io/acme/app:1", ["/usr/bin/vllm"], ["serve", "m"], ["m"]),
        ("ghcr.io/acme/app:1", ["python3", "-m", "vllm.entrypoints.openai.api_server", "--seed=1"], [], ["--seed=1"]),
        # A shell's script, with lines that go on, other commands before and after, and variables.
        (OPENAI, SHELL, ["ulimit -n 9;\nexec vllm serve m \\\n  --a='b c' && echo bye"], ["m", "--a=b c"]),
        (OPENAI, ["/bin/sh", "-c", "vllm serve $MODEL --x=${X};true"], [], ["m", "--x=7"]),
        (OPENAI, SHELL, ["# first\nvllm serve a#b  # not --this\n"], ["a#b"]),
        (OPENAI, SHELL, ["vllm serve 'm"], ["'m"]),
        # What replaces the image's own command is no server.
        (OPENAI, ["python3", "offline.py"], [], None),
        (OPENAI, ["sleep"], ["infinity"], None),
        (OPENAI, SHELL, ["vllm bench latency"], None),
        ("ghcr.io/acme/vllm-bench:1", [], ["bench"], None),
        ("ghcr.io/acme/app:1", [], ["serve"], None),
    ],
)
def test_servers_are_known_by_command_or_image(
    image: str, command: list[str], args: list[str], own: list[str] | None
) -> None:
    assert vllm.server_words(image, command, args, {"MODEL": "m", "X": "7"}) == own


@pytest.mark.parametrize(
    ("word", "seen"),
    [("--a=$(A)", "--a=1"), ("$(A)$(A)", "11"), ("$$(A)", "$(A)"), ("$(B)", "$(B)"), ("$A", "$A"), ("$(", "$(")],
)
def test_references_are_those_of_kubernetes(word: str, seen: str) -> None:
    assert vllm.server_words(OPENAI, [], [word], {"A": "1"}) == [seen]


@pytest.mark.parametrize(
    ("words", "value"),
    [
        (["--gpu-memory-utilization", "0.3"], "0.3"),
        (["--gpu-memory-utilization=0.3"], "0.3"),
        (["--gpu_memory_utilization=0.3"], "0.3"),
        (["--gpu-memory-utilization=0.3", "--gpu-memory-utilization", "0.2"], "0.2"),
        # argparse takes what begins like one option alone.
        (["--gpu-memory-utilization=0.3", "--gpu-mem", "0.9"], "0.9"),
        (["--gpu_m=0.9"], "0.9"),
        (["--gpu-memory-utilization"], ""),
        (["--model", "m", "--g=1", "--gpu-memory-utilization-now=1"], None),
    ],
)
def test_options_are_read_as_vllm_reads_them(words: list[str], value: str | None) -> None:
    assert vllm.option(words, vllm.UTILIZATION) == value


@pytest.mark.parametrize(
    ("words", "gpus"),
    [
        (["-tp", "4"], {"--tensor-parallel-size": 4}),
        (["-tp=2", "-pp", "2"], {"--tensor-parallel-size": 2, "--pipeline-parallel-size": 2}),
        (["--data_parallel_size=8"], {"--data-parallel-size": 8}),
        # Two of the eight are here.
        (["-dp=8", "--data-parallel-size-local=2"], {"--data-parallel-size-local": 2}),
        (["-dp=8", "-dpl", "1"], {}),
        (["--tensor-parallel-size=1", "-pp=many"], {}),
    ],
)
def test_what_takes_several_gpus(words: list[str], gpus: dict[str, int]) -> None:
    assert vllm.parallel(words) == gpus


@pytest.mark.parametrize(
    ("written", "size"),
    [
        ("2048", 2048),
        ("2G", 2 * 1024**3),
        ("20K", 20 * 1024),
        ("1T", 1024**4),
        ("25.6k", 25_600),
        (" 1.5g ", 1_500_000_000),
        ("3m", 3_000_000),
        # vLLM refuses these.
        ("1.5G", None),
        ("2GiB", None),
        ("-1", None),
        ("", None),
        ("$SIZE", None),
    ],
)
def test_sizes_are_read_as_vllm_reads_them(written: str, size: int | None) -> None:
    assert vllm.size(written) == size


@pytest.mark.parametrize("word", ["--kv-cache-memory-bytes=1G", "--kv_cache_memory_bytes=1G", "--kv-cache-memory=1G"])
def test_so_are_options_of_the_cache(word: str) -> None:
    assert vllm.option([word, "--kv-cache-dtype=fp8"], vllm.CACHE_BYTES) == "1G"
