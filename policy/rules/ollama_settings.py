"""An Ollama server says how long a context it keeps, and how long a model stays."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from policy.framework import EnforcementLevel, Resource, ResourceRule, Settings, Severity
from policy.ollama import OLLAMA_TYPES, servers
from policy.reading import Unknown, text, whole

_CONTEXT = "OLLAMA_CONTEXT_LENGTH"
_KEEP_ALIVE = "OLLAMA_KEEP_ALIVE"


def check(resource: Resource, _settings: Settings) -> Iterator[str]:
    """Yield the settings that are missing."""
    for server in servers(resource):
        context = server.env.get(_CONTEXT)
        tokens = whole(context)
        if context is None or tokens == 0:
            yield f"container {server.name}: set {_CONTEXT}, in tokens; it decides the size of the KV cache."
        elif not isinstance(context, Unknown | Mapping) and (tokens is None or tokens < 0):
            yield f"container {server.name}: {_CONTEXT} is {text(context)}, which is no number of tokens."
        if server.env.get(_KEEP_ALIVE) is None:
            yield f"container {server.name}: set {_KEEP_ALIVE}, such as -1 (as long as the pod lives)."


RULE = ResourceRule(
    name="ollama-context-and-keep-alive",
    title="Ollama's context length and keep-alive are set",
    description=f"An Ollama server must set {_CONTEXT} and {_KEEP_ALIVE}.",
    why=(
        "Without a context length Ollama chooses one by the memory of the whole card, up to 262144 tokens; on a shared "
        "GPU that is not its memory, and layers move to the CPU without a word. Without a keep-alive a model is "
        "unloaded after five minutes while the pod keeps its slot: paid for, and slow at the next question."
    ),
    fix=f"Set {_CONTEXT} to what fits the slot, and {_KEEP_ALIVE} to -1 where scale-to-zero gives the GPU back.",
    severity=Severity.MEDIUM,
    level=EnforcementLevel.ADVISORY,
    types=OLLAMA_TYPES,
    check=check,
)
