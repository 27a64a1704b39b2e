"""What a program wraps can be looked into."""

from __future__ import annotations

from collections.abc import Iterator

from policy.contents import UNSEEN_PART
from policy.framework import EnforcementLevel, Resource, ResourceRule, Settings, Severity
from policy.reading import text


def check(resource: Resource, _settings: Settings) -> Iterator[str]:
    """Say that a part could not be judged."""
    yield f"{text(resource.props.get('why'))}, so nothing in it could be judged."


RULE = ResourceRule(
    name="contents-can-be-seen",
    title="Templates, values and manifests can be read",
    description=(
        "The text of a template, the values of a chart and the manifests of a wrapper should be known in preview and "
        "lie where the pack runs."
    ),
    why=(
        "A NodePool or a node group inside a text buys the same GPUs as one that is written as a resource. What is an "
        "output of another resource, a file that is not here or a value from a Secret may hold anything, and no other "
        "rule can say so. So may an object from which a TrainJob, a model of KServe or a workflow takes its pods; it "
        "is judged by itself where a program registers it."
    ),
    fix=(
        "Write the text or the values as literals, run the check where the files are, or judge the rendered objects "
        "with `slices judge`."
    ),
    severity=Severity.LOW,
    level=EnforcementLevel.ADVISORY,
    types=(UNSEEN_PART,),
    check=check,
)
