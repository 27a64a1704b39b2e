"""A model server on a GPU says which models it runs."""

from __future__ import annotations

from collections.abc import Iterator

from gpu.contract import MEMORY_ANNOTATION, MODEL_ANNOTATION
from gpu.models import find_model
from policy.framework import EnforcementLevel, Resource, ResourceRule, Settings, Severity
from policy.ollama import OLLAMA_TYPES, models, servers, stated
from policy.reading import Unknown


def check(resource: Resource, _settings: Settings) -> Iterator[str]:
    """Yield servers with a GPU whose need of memory nobody can tell."""
    for server in servers(resource):
        if not server.pod.gpu_containers() or stated(server, MEMORY_ANNOTATION) is not None:
            continue
        names = models(server)
        if isinstance(names, Unknown):
            continue  # ollama-fits-slot says it
        strange = [name for name in names if find_model(name) is None]
        if not names:
            yield f"container {server.name}: which models it runs is not told, so nobody knows whether they fit."
        elif strange and names is server.pulled:
            yield f"container {server.name}: what {', '.join(strange)} needs is not known here."


RULE = ResourceRule(
    name="ollama-models-told",
    title="Model servers say what they run",
    description="An Ollama server with a GPU should name its models, or the memory that they need.",
    why=(
        "Models are read from annotations, arguments, variables, requests to Ollama's API and the values of "
        "otwld/ollama-helm. Of a server that names none, or one that is not in `gpu/models.py`, no rule can say "
        "whether it fits its slot, and Ollama does not refuse what does not fit."
    ),
    fix=(
        f"Write the models as pod annotation `{MODEL_ANNOTATION}` (several: separated by commas), or their need in "
        f"MiB as `{MEMORY_ANNOTATION}`."
    ),
    severity=Severity.LOW,
    level=EnforcementLevel.ADVISORY,
    types=OLLAMA_TYPES,
    check=check,
)
