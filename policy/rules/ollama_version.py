"""Ollama runs at a version without the known hole, and the image says which."""

from __future__ import annotations

from collections.abc import Iterator

from policy.framework import EnforcementLevel, Option, Resource, ResourceRule, Scanners, Settings, Severity
from policy.ollama import OLLAMA_TYPES, Image, images
from policy.pods import PATCH_TYPES
from policy.reading import Unknown

#: First version with the fix of CVE-2026-7482.
FIXED = "0.17.1"


def check(resource: Resource, settings: Settings) -> Iterator[str]:
    """Yield images of Ollama that are too old, or do not say how old they are."""
    oldest = Image.of(f"ollama:{settings['minVersion']}").version
    if oldest is None:
        yield f"the option minVersion is no version: {settings['minVersion']}"
        return
    for name, reference in images(resource):
        if isinstance(reference, Unknown):
            yield f"container {name}: image must be a literal, so that its version can be seen."
            continue
        image = Image.of(str(reference))
        if image.version is None:
            yield (
                f"container {name}: image {reference} does not tell its version. Write a tag such as "
                f"{image.repository}:{settings['minVersion']}, with a digest behind it if you like."
            )
        elif image.version < oldest:
            yield f"container {name}: image {reference} is older than {settings['minVersion']}."


RULE = ResourceRule(
    name="ollama-version-pinned",
    title="Ollama is pinned and not vulnerable",
    description=f"Ollama's image must have a version tag of {FIXED} or later.",
    why=(
        "CVE-2026-7482: up to 0.17.0 anyone who reaches the API reads the server's memory (create, then push). A "
        "floating tag brings another Ollama at every node start, and nobody can tell which one answered."
    ),
    fix=f"Write `ollama/ollama:<version>` with a version of at least {FIXED}; add the digest to pin the bytes too.",
    severity=Severity.CRITICAL,
    level=EnforcementLevel.MANDATORY,
    types=(*OLLAMA_TYPES, *PATCH_TYPES),
    scanners=Scanners(checkov=("CKV_K8S_14",), trivy=("KSV-0013",), cis=()),
    options={
        "minVersion": Option(type="string", default=FIXED, description="Oldest version that may run, as x.y.z."),
    },
    check=check,
)
