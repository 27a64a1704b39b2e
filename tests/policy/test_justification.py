"""What is a reason, and what only looks like one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from gpu.contract import EXPIRES_ANNOTATION, JUSTIFICATION_ANNOTATION, MAX_JUSTIFIED_DAYS
from policy.framework import on_day
from policy.justification import TICKET, problems
from tests.day import TODAY

SETTINGS: Mapping[str, Any] = {"ticketPattern": TICKET, "maxDays": MAX_JUSTIFIED_DAYS}


def _problems(reason: str, expires: str = "2027-02-01") -> list[str]:
    with on_day(TODAY):
        return list(problems({JUSTIFICATION_ANNOTATION: reason, EXPIRES_ANNOTATION: expires}, SETTINGS))


@pytest.mark.parametrize(
    "ticket",
    [
        *("PLAT-123", "ML-7", "GPU-42", "OPS2-901", "INFRA-1", "#7", "#1234", "acme/platform#88"),
        "https://github.com/acme/platform/issues/88",
        "https://acme.atlassian.net/browse/PLAT-1",
        "https://linear.app/acme/issue/ENG-5",
        "https://amazon.company.example/tickets/5",
    ],
)
def test_a_ticket_in_a_reason_passes(ticket: str) -> None:
    assert _problems(f"the nightly evaluation cannot be interrupted, {ticket}") == []


@pytest.mark.parametrize(
    "name",
    [
        *("A100-80", "H100-80", "H200-141", "L4-24", "L40S-48", "A10G-24", "T4-16", "V100-32", "B200-192", "GB200-72"),
        *("RTX-4090", "GTX-1080", "MI-300", "G5-12", "P4D-24", "G6E-48", "P5EN-48"),
        *("LLAMA-3", "GPT-4", "QWEN-2", "QWEN2-7", "PHI-4", "GEMMA-2", "MISTRAL-7", "MIXTRAL-8", "T5-11", "YOLO-11"),
        *("DEEPSEEK-3", "WHISPER-3", "SDXL-1", "BERT-340", "FALCON-180", "CLAUDE-3", "OPT-175", "KIMI-2", "GLM-4"),
        *(
            "ISO-27001",
            "SHA-256",
            "UTF-8",
            "AES-256",
            "RFC-2119",
            "IEC-61508",
            "FIPS-140",
            "SOC-2",
            "CVE-2026",
            "FP-16",
        ),
        *("CUDA-13", "INT-8", "BF-16", "IEEE-754", "EU-1", "EAST-1", "PCIE-5", "HBM-3", "TLS-1", "X-86", "V-2", "RC-1"),
        "https://huggingface.co/meta-llama/Llama-3.1-8B",
        "https://aws.amazon.com/ec2/instance-types/g5/",
        "https://docs.nvidia.com/cuda/",
        "https://ollama.com/library/llama3",
    ],
)
def test_names_of_gpus_models_and_standards_are_no_tickets(name: str) -> None:
    (problem,) = _problems(f"we need it for the nightly evaluation, {name}")
    assert problem == f"{JUSTIFICATION_ANNOTATION} must name a ticket: a key such as PLAT-123, #1234, or a link to it"


@pytest.mark.parametrize("ticket", ["ＰＬＡＴ-１２３", "PLAT-\u200b123", "PLAT\u00ad-123"])
def test_signs_are_read_as_they_look(ticket: str) -> None:
    assert _problems(f"the nightly evaluation cannot be interrupted, {ticket}") == []


@pytest.mark.parametrize(
    "reason",
    [
        "PLAT-1" + "\u200b" * 40,
        "PLAT-1" + "\u2800" * 40,
        "PLAT-1" + "\u3164" * 40,
        "PLAT-1 aáàâãäåāăą aáàâãäåāăą",
        "PLAT-1 ........................",
        "PLAT-1 test test test test test".replace("test", "at"),
        "\ufeff\u2060\u200d",
    ],
)
def test_what_has_no_width_or_looks_alike_is_no_reason(reason: str) -> None:
    assert _problems(reason)


def test_a_pattern_of_ones_own_is_taken_as_it_is() -> None:
    given = {JUSTIFICATION_ANNOTATION: "INC0001234: nightly evaluation", EXPIRES_ANNOTATION: "2027-02-01"}
    with on_day(TODAY):
        assert list(problems(given, {**SETTINGS, "ticketPattern": r"INC\d{7}"})) == []
        (problem,) = problems(given, {**SETTINGS, "ticketPattern": r"CHG\d+"})
    assert problem.endswith(r"must name a ticket that matches CHG\d+")
