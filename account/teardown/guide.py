"""What to do, and in which order, so that nothing stays behind."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from account.commands import CALLERS_ACCOUNT, aws, pulumi, shell_text
from account.teardown.delete import ROUND_SECONDS
from account.teardown.kinds import Leftover
from account.teardown.pulumi_state import PulumiState, Unread
from account.teardown.services import BUDGETS
from account.teardown.survey import Survey
from account.teardown.target import Target

#: What DELETE_TIMEOUT (components.karpenter.node_class) and the pools' terminationGracePeriod make Pulumi and
#: Karpenter wait.
DESTROY_MINUTES = 30
NODE_MINUTES = 15

_BRAKE = (
    "IAM keeps a policy that is still attached, and while the brake is on GPU EC2NodeClasses are not Ready, since "
    "Karpenter's dry runs of CreateFleet and RunInstances fail."
)


@dataclass(frozen=True)
class Advice:
    """A step. text: why, and how long it takes. commands: for a shell, one a line."""

    title: str
    text: str
    commands: tuple[str, ...] = ()


def advise(target: Target, state: PulumiState | Unread, survey: Survey | None, again: str) -> list[Advice]:
    """The steps that are still to be taken, first to last.

    survey: None where nothing could be looked at. again: the command that was called.
    """
    gone = survey is not None and survey.cluster_is_gone
    if not gone:
        return [*_first(target, survey), _destroy(target), _again(again)]
    return list(_after(target, state, survey, again)) if survey else []


def _first(target: Target, survey: Survey | None) -> Iterator[Advice]:
    found = survey.found if survey else ()
    owners = sorted({thing.owner for thing in found if thing.owner})
    seen = f" Seen in AWS: {', '.join(owners)}." if owners else ""
    yield Advice(
        "Delete what you made in the cluster yourself and what owns something in AWS",
        "Services of type LoadBalancer, Ingresses and PersistentVolumeClaims: Pulumi does not know them, and once the "
        f"cluster is gone nobody deletes their load balancers and volumes.{seen}",
        (
            "kubectl get services -A --field-selector spec.type=LoadBalancer",
            "kubectl get ingresses,persistentvolumeclaims -A",
        ),
    )
    if survey is None or BUDGETS.name in survey.unseen:
        # The account's id is the caller's: nobody could be asked who that is.
        text = f"{_BRAKE} Status EXECUTION_SUCCESS means on; execute-budget-action takes it off."
        who = {"account_id": CALLERS_ACCOUNT, "budget_name": target.marks.cluster}
        ask = aws("budgets", "describe-budget-actions-for-budget", region=target.marks.region, **who)
        yield Advice("See whether the budget's brake is on", text, (shell_text(ask),))
    for brake in (thing for thing in found if thing.kind == BUDGETS.name and "EXECUTION_SUCCESS" in thing.state):
        yield Advice("Take the budget's brake off: it is on", _BRAKE, tuple(_release(brake, target.marks.region)))


def _release(brake: Leftover, region: str) -> Iterator[str]:
    for each in (step.parameters for step in brake.steps if "ActionId" in step.parameters):
        who = {"account_id": each["AccountId"], "budget_name": each["BudgetName"], "action_id": each["ActionId"]}
        release = {**who, "execution_type": "REVERSE_BUDGET_ACTION"}
        yield shell_text(aws("budgets", "execute-budget-action", region=region, **release))


def _destroy(target: Target) -> Advice:
    return Advice(
        "Destroy the stack",
        f"Workloads go, then Karpenter drains and ends its nodes: Pulumi waits up to {DESTROY_MINUTES} minutes for "
        f"each pool, and a pod can hold its node for {NODE_MINUTES}. Then go controller, system nodes, cluster and "
        "network. If it fails, run it again: it goes on where it stopped.",
        (pulumi("destroy", target.stack),),
    )


def _again(again: str) -> Advice:
    return Advice("See that nothing is left", "Run this again.", (again,))


def _after(target: Target, state: PulumiState | Unread, survey: Survey, again: str) -> Iterator[Advice]:
    if survey.left:
        yield Advice(
            "Delete what is left",
            "By the commands above, in their order, and once more what AWS did not let go yet. Or let this command do "
            f"it, which asks first, and tries again every {ROUND_SECONDS:.0f} seconds.",
            (f"{again} --delete",),
        )
    if isinstance(state, PulumiState) and state.resources:
        yield Advice(
            "Let Pulumi forget the rest",
            f"Its state still holds {state.resources} resources. If it says that the cluster is unreachable, set "
            "PULUMI_K8S_DELETE_UNREACHABLE=true: the objects in it are gone with it.",
            (pulumi("destroy", target.stack),),
        )
