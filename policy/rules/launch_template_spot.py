"""A launch template with a GPU type is Spot, or only what buys Spot uses it."""

from __future__ import annotations

from collections.abc import Iterator

from policy.framework import EnforcementLevel, Finding, Settings, Severity, Stack, StackRule
from policy.nodes import LAUNCH_TEMPLATE, launched_from
from policy.ondemand.aws import SPOT_ONLY, of_template
from policy.rules.on_demand_gpu import SETTINGS, spoken


def check(stack: Stack, settings: Settings) -> Iterator[Finding]:
    """Yield templates from which a GPU can be started on demand."""
    also = tuple(settings["alsoCategories"])
    users = list(stack.of(*SPOT_ONLY))
    for template in stack.of(LAUNCH_TEMPLATE):
        using = [user for user in users if launched_from(user, [template])]
        if using and all(SPOT_ONLY[user.type](user.plain) for user in using):
            continue
        for purchase in of_template(template.plain, also):
            message = spoken(purchase, settings)
            if message:
                yield Finding(message, template.urn)


RULE = StackRule(
    name="gpu-launch-template-is-spot",
    title="Launch templates with a GPU buy Spot",
    description=(
        "A launch template that names or admits a GPU type must ask for Spot, be used only by what buys Spot alone, or "
        "bear a dated justification that names a ticket."
    ),
    why=(
        "Whoever starts a machine from a template without market options gets it on demand. Node groups, Auto Scaling "
        "groups and fleets say themselves how they buy, so a template that only such Spot buyers use is Spot."
    ),
    fix=(
        "Write `instanceMarketOptions.marketType: spot`, or leave the type to a group that buys Spot alone. Or write "
        "down why, as for `gpu-on-demand-needs-justification`."
    ),
    severity=Severity.CRITICAL,
    level=EnforcementLevel.MANDATORY,
    types=(LAUNCH_TEMPLATE, *SPOT_ONLY),
    options=SETTINGS,
    check=check,
)
