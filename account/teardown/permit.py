"""Whether this may be looked at and ended at all: the right account, and nobody protects it."""

from __future__ import annotations

from account.commands import pulumi
from account.session import Identity
from account.teardown.pulumi_state import PulumiState, Unread
from account.teardown.survey import Survey
from account.teardown.target import Target
from plan.errors import InputError


def refuse_protected(target: Target, state: PulumiState | Unread) -> None:
    """Raise InputError where the stack's file or Pulumi's state protects it."""
    if target.protected:
        raise InputError(
            f"stack {target.stack} is protected: gpu-slices:cluster.deletionProtection is true\n"
            f"To end it, set that to false and apply it: {pulumi('up', target.stack)}"
        )
    if isinstance(state, PulumiState) and state.protected:
        raise InputError(
            f"stack {target.stack} is protected: Pulumi's `protect` is on {', '.join(state.protected)}\n"
            f"To end it, take that off: {pulumi('state unprotect --all', target.stack)}"
        )


def refuse_protected_cluster(target: Target, survey: Survey) -> None:
    """Raise InputError where EKS protects the cluster, whatever the file says by now."""
    if survey.cluster and "protected" in survey.cluster.state:
        raise InputError(
            f"stack {target.stack} is protected: EKS refuses to delete cluster {target.marks.cluster}\n"
            f"The stack's file does not protect it any more; apply that: {pulumi('up', target.stack)}"
        )


def refuse_foreign(target: Target, state: PulumiState | Unread, caller: Identity, named: str | None) -> None:
    """Raise InputError unless the caller's account is known to be the stack's, by its state or by name."""
    recorded = state.accounts if isinstance(state, PulumiState) else frozenset()
    where = f"these credentials are {caller.arn}"
    if len(recorded) > 1 and named is None:
        accounts = ", ".join(sorted(recorded))
        raise InputError(f"Pulumi's state names several accounts, {accounts}: say which with --account")
    if named and recorded and named not in recorded:
        raise InputError(f"--account {named} is not the stack's: Pulumi's state names {', '.join(sorted(recorded))}")
    expected = named or next(iter(recorded), None)
    if expected is None:
        why = state.reason if isinstance(state, Unread) else "it holds nothing any more"
        raise InputError(
            f"nobody knows in which account stack {target.stack} was: Pulumi's state does not tell ({why})\n"
            f"Name the account with --account; {where}"
        )
    if caller.account != expected:
        raise InputError(f"stack {target.stack} is in account {expected}, not in {caller.account}: {where}")
    if isinstance(state, PulumiState) and state.regions - {target.marks.region}:
        regions = ", ".join(sorted(state.regions))
        raise InputError(f"Pulumi's state of {target.stack} is in {regions}, its file says {target.marks.region}")
    partition = _partition(target.marks.region)
    if partition != caller.partition:
        raise InputError(f"{target.marks.region} is in partition {partition}, the credentials in {caller.partition}")


def _partition(region: str) -> str:
    from botocore.exceptions import UnknownRegionError  # noqa: PLC0415  slow
    from botocore.session import Session  # noqa: PLC0415

    try:
        return str(Session().get_partition_for_region(region))
    except UnknownRegionError as error:
        raise InputError(f"aws:region = {region} is no region that boto3 knows") from error
