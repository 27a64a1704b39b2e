"""What a component makes can be judged."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from policy.engine import CONTENTS, speechless
from policy.framework import EnforcementLevel, Finding, Settings, Severity, Stack, StackRule

_INSIDE: Final = tuple(dict.fromkeys(type_ for types in CONTENTS.values() for type_ in types))


def check(stack: Stack, _settings: Settings) -> Iterator[Finding]:
    """Yield components that show neither inputs nor the resources by which they would be judged instead."""
    made = {(resource.parent, resource.type) for resource in stack.of(*_INSIDE)}
    for component in stack.of(*CONTENTS):
        missing = [type_ for type_ in CONTENTS[component.type] if (component.urn, type_) not in made]
        if missing and speechless(component.type, component.props):
            yield Finding(
                f"has no inputs, and no {' and no '.join(missing)} inside, so nothing says what it makes: give it its "
                "settings as inputs.",
                component.urn,
            )


RULE = StackRule(
    name="eks-component-contents",
    title="Components show what they make",
    description="A component of pulumi-eks must show its inputs, or the resources inside it.",
    why=(
        "Components of pulumi-eks 4.1 to 4.3 tell the engine no inputs (Pulumi SDKs do since 3.202). Rules then judge "
        "the cluster, node group, launch template or launch configuration inside, which have the real values. Where "
        "neither is there, as in a plan of `eks.Cluster` without arguments, the component's defaults hold: a "
        "Kubernetes API that is open to the internet, and volumes that are not encrypted."
    ),
    fix="Write the component's settings as inputs, or use a version of the provider that registers what it makes.",
    severity=Severity.HIGH,
    level=EnforcementLevel.MANDATORY,
    types=(*CONTENTS, *_INSIDE),
    check=check,
)
