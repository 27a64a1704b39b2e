"""What to do, and in which order, so that nothing stays behind."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from account.teardown.delete import ROUND_SECONDS
from account.teardown.kinds import Leftover
from account.teardown.pulumi_state import PulumiState, Unread
from account.teardown.services import BUDGETS
from account.teardown.survey import Survey
from account.teardown.target import Target

#: What components.node_class (DELETE_TIMEOUT) and the pools' terminationGracePeriod make Pulumi and Karpenter wait.
DESTROY_MINUTES = 30
NODE_MINUTES = 15


@dataclass(frozen=True)
class Advice:
    """A step. text: why, and how long it takes. commands: for a shell, one a line."""

    title: str
    text: str
    commands: tuple[str, ...] = ()


def advise(target: Target, state: PulumiState | Unread, survey: Survey | None) -> list[Advice]:
    """The steps that are still to be taken, first to last. survey: None where nothing could be looked at."""
    gone = survey is not None and survey.cluster_is_gone
    if not gone:
        return [*_first(target, survey), _destroy(target), _again(target)]
    return list(_after(target, state, survey)) if survey else []


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
    brake = next((thing for thing in found if thing.kind == BUDGETS.name), None)
    on = brake and "EXECUTION_SUCCESS" in brake.state
    yield Advice(
        "Take the budget's brake off" if on else "If the budget's brake is on, take it off",
        "IAM keeps a policy that is still attached, and with the brake on Karpenter turns its GPU EC2NodeClasses "
        "NotReady." + (" It is on now." if on else " This says which status its action has: EXECUTION_SUCCESS is on."),
        tuple(_brake_commands(target, brake)),
    )


def _brake_commands(target: Target, brake: Leftover | None) -> Iterator[str]:
    actions = [step.parameters for step in brake.steps if "ActionId" in step.parameters] if brake else []
    for each in actions:
        yield (
            f"aws budgets execute-budget-action --account-id {each['AccountId']} --budget-name {each['BudgetName']} "
            f"--action-id {each['ActionId']} --execution-type REVERSE_BUDGET_ACTION"
        )
    if not actions:
        yield (
            "aws budgets describe-budget-actions-for-budget --budget-name "
            f"{target.marks.cluster} --account-id $(aws sts get-caller-identity --query Account --output text)"
        )


def _destroy(target: Target) -> Advice:
    return Advice(
        "Destroy the stack",
        f"Workloads go, then Karpenter drains and ends its nodes: Pulumi waits up to {DESTROY_MINUTES} minutes for "
        f"each pool, and a pod can hold its node for {NODE_MINUTES}. Then go controller, system nodes, cluster and "
        "network. If it fails, run it again: it goes on where it stopped.",
        (f"pulumi destroy -s {target.stack}",),
    )


def _again(target: Target) -> Advice:
    return Advice("See that nothing is left", "Run this again.", (f"slices teardown {target.stack}",))


def _after(target: Target, state: PulumiState | Unread, survey: Survey) -> Iterator[Advice]:
    if survey.left:
        yield Advice(
            "Delete what is left",
            "By the commands above, in their order; or let this command do it, which asks first. What AWS does not let "
            f"go yet it tries again every {ROUND_SECONDS:.0f} seconds.",
            (f"slices teardown {target.stack} --delete",),
        )
    if isinstance(state, PulumiState) and state.resources:
        yield Advice(
            "Let Pulumi forget the rest",
            f"Its state still holds {state.resources} resources. If it says that the cluster is unreachable, set "
            "PULUMI_K8S_DELETE_UNREACHABLE=true: the objects in it are gone with it.",
            (f"pulumi destroy -s {target.stack}",),
        )
