"""The written reason without which no GPU is bought on demand: its two marks, and when they count."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from typing import Any, Final

from gpu.contract import (
    EXPIRES_ANNOTATION,
    JUSTIFICATION_ANNOTATION,
    MAX_JUSTIFIED_DAYS,
    MIN_DIFFERENT_LETTERS,
    MIN_JUSTIFICATION,
)
from policy.framework import Option, today
from policy.reading import Unknown, each, text

#: A Jira key, a GitHub issue or a link.
TICKET: Final = r"\b[A-Z][A-Z0-9]+-[0-9]+\b|#[0-9]+\b|https?://\S+"
#: What looks like a key and is none: GPUs, models and data formats, standards, places, ends of versions.
_NO_PROJECT: Final = re.compile(
    r"[ABHLTV]\d+[A-Z]?|GB?\d+|[GP]\d[A-Z]*|RTX|GTX|QUADRO|TESLA|MI|TPU|TRN|INF|EC|M\d|C\d|R\d"
    r"|ALPACA|BERT|BGE|BLOOM|CLAUDE|CLIP|COHERE|DALL|DBRX|DEEPSEEK|FALCON|FLUX|GEMINI|GEMMA|GLM|GPT|GRANITE|GROK|KIMI"
    r"|LLAMA|LLAVA|MINICPM|MISTRAL|MIXTRAL|MPT|NEMOTRON|OLMO|OPT|ORCA|PHI|QWEN\d?|QWQ|SDXL|SD|SORA|STARCODER|T5|VICUNA"
    r"|WHISPER|YI|YOLO|ZEPHYR"
    r"|BF|CRC|FP|INT|Q\d|TF|UINT|AES|BASE|CUDA|CUDNN|DDR\d?|HBM\d?|HTTP|IPV|MD|NVLINK|PCIE?|RSA|SHA|SM|SSE|TLS|UTF|X"
    r"|ANSI|CC|CIS|CVE|CWE|DIN|EN|EU|FIPS|GDPR|HIPAA|IEC|IEEE|ISO|NIST|PCI-DSS|RFC|SOC|TISAX"
    r"|AZ|CENTRAL|EAST|NORTH|SOUTH|WEST|NORTHEAST|SOUTHEAST|NORTHWEST|SOUTHWEST|COVID|DAY|PHASE|RC|TOP|V|WEEK"
)
#: Whose pages are documentation, models and prices, not somebody's tickets.
_NO_TRACKER: Final = re.compile(
    r"https?://([\w-]+\.)*(amazon\.com|arxiv\.org|huggingface\.co|karpenter\.sh|kubernetes\.io|meta\.com|nvidia\.com"
    r"|ollama\.com|openai\.com|pulumi\.com|wikipedia\.org)(?![\w.-])",
    re.IGNORECASE,
)
#: How far ahead the date of the hint is.
SAMPLE_DAYS: Final = 90

OPTIONS: Final[Mapping[str, Option]] = {
    "ticketPattern": Option(
        type="string",
        default=TICKET,
        description="Regular expression that the justification must contain a match of: how your tickets are named.",
    ),
    "maxDays": Option(
        type="integer",
        default=MAX_JUSTIFIED_DAYS,
        description="Most days from today until a justification expires.",
        schema={"minimum": 1},
    ),
}


def marks(manifest: Mapping[str, Any]) -> Mapping[str, Any] | Unknown:
    """Annotations of a Kubernetes object, or tags of an AWS resource (a map, or a list of key and value)."""
    found: dict[str, Any] = {}
    metadata = manifest.get("metadata")
    for given in (
        metadata if isinstance(metadata, Unknown) else None,
        metadata.get("annotations") if isinstance(metadata, Mapping) else None,
        *(manifest.get(name) for name in ("annotations", "tags", "Tags", "autoScalingGroupTags", "cloudFormationTags")),
    ):
        if isinstance(given, Unknown):
            return given
        if isinstance(given, Mapping):
            found |= given
        else:
            pairs = [item for item in each(given) if isinstance(item, Mapping)]
            # AWS Native and CloudFormation spell the same list with capitals.
            found |= {
                text(pair.get("key") or pair.get("Key")): pair.get("value") or pair.get("Value") for pair in pairs
            }
    return found


def problems(given: Mapping[str, Any] | Unknown, settings: Mapping[str, Any]) -> Iterator[str]:
    """What keeps the marks from being a justification; nothing means that the purchase is justified."""
    if isinstance(given, Unknown):
        yield f"{given.path} must be a literal: a justification that is unknown in preview is none"
        return
    yield from _reason_problems(given.get(JUSTIFICATION_ANNOTATION), settings)
    yield from _expiry_problems(given.get(EXPIRES_ANNOTATION), settings)


def _reason_problems(reason: Any, settings: Mapping[str, Any]) -> Iterator[str]:
    if isinstance(reason, Unknown):
        yield f"{JUSTIFICATION_ANNOTATION} must be a literal"
        return
    reason = _readable(text(reason))
    if not reason:
        yield f"{JUSTIFICATION_ANNOTATION} is missing"
        return
    if (
        len(reason) < MIN_JUSTIFICATION
        or len({sign for sign in _base(reason) if sign.isalnum()}) < MIN_DIFFERENT_LETTERS
    ):
        yield f"{JUSTIFICATION_ANNOTATION} must say why in at least {MIN_JUSTIFICATION} characters"
    pattern = settings["ticketPattern"]
    try:
        found = [match[0] for match in re.finditer(pattern, reason)]
    except re.error as error:
        yield f"the option ticketPattern is no regular expression: {error}"
        return
    if pattern == TICKET and not any(map(_is_ticket, found)):
        yield f"{JUSTIFICATION_ANNOTATION} must name a ticket: a key such as PLAT-123, #1234, or a link to it"
    elif not found:
        yield f"{JUSTIFICATION_ANNOTATION} must name a ticket that matches {pattern}"


def _is_ticket(found: str) -> bool:
    """Whether what looks like a ticket may be one: `A100-80`, `LLAMA-3`, `ISO-27001` and documentation are none."""
    if found.startswith("http"):
        return _NO_TRACKER.match(found) is None
    return found.startswith("#") or _NO_PROJECT.fullmatch(found.rpartition("-")[0]) is None


def _readable(written: str) -> str:
    """A text as a reader sees it: compatible forms as one, without what has no width, spaces as one."""
    seen = "".join(sign for sign in unicodedata.normalize("NFKC", written) if not _unseen(sign))
    return " ".join(seen.split())


_BLANK_LETTERS: Final = "\u115f\u1160\u2800\u3164\uffa0"


def _unseen(sign: str) -> bool:
    """Whether a sign has no width of its own. Hangul's fillers and Braille's blank count as letters to Unicode."""
    kind = unicodedata.category(sign)
    return kind in {"Cf", "Cn", "Co"} or (kind == "Cc" and not sign.isspace()) or sign in _BLANK_LETTERS


def _base(written: str) -> str:
    """Letters without marks, in lower case: `a`, `á` and `à` look alike and say the same."""
    return "".join(sign for sign in unicodedata.normalize("NFKD", written.lower()) if not unicodedata.combining(sign))


def _expiry_problems(given: Any, settings: Mapping[str, Any]) -> Iterator[str]:
    if isinstance(given, Unknown):
        yield f"{EXPIRES_ANNOTATION} must be a literal"
        return
    day = _day(text(given).strip())
    if day is None:
        wanted = f"a date such as {_sample(settings['maxDays']).isoformat()}"
        wrong = f"must be {wanted}" if text(given) else f"is missing: write {wanted}"
        yield f"{EXPIRES_ANNOTATION} {wrong}"
        return
    days = (day - today()).days
    if days < 0:
        yield f"{EXPIRES_ANNOTATION} was {day.isoformat()}: renew the justification or remove the capacity"
    elif days > settings["maxDays"]:
        yield f"{EXPIRES_ANNOTATION} is {days} days ahead: at most {settings['maxDays']:g} are allowed"


def _sample(max_days: float) -> date:
    """A date that is allowed today, and for a while."""
    return today() + timedelta(days=int(min(max_days, SAMPLE_DAYS)))


def _day(value: str) -> date | None:
    if not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", value):
        return None
    try:
        return date.fromisoformat(value)
    except ValueError:
        return None
