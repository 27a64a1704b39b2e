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


@pytest.mark.parametrize(
    ("image", "words", "is_server"),
    [
        ("docker.io/vllm/vllm-openai:v0.11.0", [], True),
        ("1.dkr.ecr.us-east-1.amazonaws.com/mirror/vllm-openai@sha256:0", [], True),
        ("ghcr.io/acme/app:1", ["vllm", "serve", "m"], True),
        ("ghcr.io/acme/app:1", ["/usr/bin/vllm", "serve", "m"], True),
        ("ghcr.io/acme/app:1", ["python3", "-m", "vllm.entrypoints.openai.api_server"], True),
        ("ghcr.io/acme/vllm-bench:1", ["bench"], False),
        ("ghcr.io/acme/app:1", ["serve"], False),
    ],
)
def test_servers_are_known_by_image_or_words(image: str, words: list[str], is_server: bool) -> None:
    assert vllm.serves(image, words) is is_server


@pytest.mark.parametrize(
    ("words", "value"),
    [
        (["--gpu-memory-utilization", "0.3"], "0.3"),
        (["--gpu-memory-utilization=0.3"], "0.3"),
        (["--gpu_memory_utilization=0.3"], "0.3"),
        (["--gpu-memory-utilization=0.3", "--gpu-memory-utilization", "0.2"], "0.2"),
        (["--gpu-memory-utilization"], ""),
        (["--model", "m"], None),
    ],
)
def test_options_are_read_as_vllm_reads_them(words: list[str], value: str | None) -> None:
    assert vllm.option(words, vllm.UTILIZATION) == value


def test_the_short_name_of_an_option() -> None:
    assert vllm.option(["-tp", "4"], vllm.TENSOR_PARALLEL) == "4"
