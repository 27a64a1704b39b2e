"""`slices adopt`: looks at a cluster that is there, writes a stack file for it, and says what sharing would change."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, assert_never

import click

from account.adopting import account_findings, cluster_of, has_agent, has_provider, place_of, role_of
from account.commands import shell_text
from account.preflight import requirement
from account.preflight.existing import in_auto_mode, mode_of
from account.session import Absent, Account, Found, Unseen
from adopt.cluster import Access, ClusterError, read_cluster
from adopt.export import ExportError, read_export
from adopt.finding import Finding, Status
from adopt.inventory import Inventory, inventory
from adopt.report import Report, as_json, report
from adopt.rights import Rights
from adopt.stack_file import model_class
from cli.calling import stack_name
from cli.errors import MISSING_ERROR, UNSEEN_ERROR
from cli.render_adopt import render
from cli.stack_files import write_stack
from config.errors import PROJECT, one_of
from config.load import parse
from gpu.catalog import REGIONS
from plan.errors import InputError
from plan.project import Project, find_project


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What the options say; None and empty where they say nothing."""

    source: Path | None
    kubeconfig: Path | None
    context: str | None
    cluster: str | None
    region: str | None
    pod_mib: int | None


def adopt_cluster(directory: Path, stack: str | None, asked: Asked, *, overwrite: bool, as_data: bool) -> int:
    """Report on a cluster and write a stack's file for it, where a name is given; gives the exit status.

    Raises InputError where nothing can be read, and for a stack that is there already and must not be overwritten.
    """
    project = find_project(directory.resolve())
    if project.name != PROJECT:
        raise InputError(f"slices adopt writes stacks of {PROJECT}; this project is {project.name}")
    if stack is not None:
        _refuse_known(project, stack, overwrite=overwrite)
    there = _with_names(_read(asked))
    account = None if asked.source else Account(there.region)
    if account is not None and account.has_credentials():
        there, unseen = _asked_account(there, account)
    else:
        account, unseen = None, []
    found = report(there, stack or "adopted", pod_mib=asked.pod_mib)
    further = [*unseen, *(_of_account(found, account) if account else [])]
    found = replace(found, findings=[*found.findings, *further])
    path = write_stack(project, stack, found.written.text, overwrite=overwrite) if stack and found.fits else None
    if as_data:
        click.echo(json.dumps({**as_json(found), "file": path.name if path else None}, indent=2, ensure_ascii=False))
    else:
        render(found, path)
    return _status(found)


def _status(found: Report) -> int:
    if not found.fits:
        return MISSING_ERROR
    return UNSEEN_ERROR if any(each.status == "unseen" for each in found.findings) else 0


def _refuse_known(project: Project, stack: str, *, overwrite: bool) -> None:
    path = project.stack_files / f"Pulumi.{stack_name(stack)}.yaml"
    if not overwrite and (path.exists() or path.is_symlink()):
        raise InputError(f"{path.name} is there already, and is not overwritten: take another name, or say --overwrite")


def _read(asked: Asked) -> Inventory:
    if asked.source is not None and (asked.kubeconfig or asked.context):
        raise InputError("--from reads an export, and --kubeconfig or --context a cluster: give one of them")
    try:
        if asked.source is not None:
            objects = read_export(asked.source)
        else:
            objects = read_cluster(Access(kubeconfig=str(asked.kubeconfig or ""), context=asked.context or ""))
    except (ExportError, ClusterError) as error:
        raise InputError(str(error)) from error
    return inventory(objects, cluster=asked.cluster or "", region=asked.region or "")


def _with_names(there: Inventory) -> Inventory:
    """The same, where cluster and region are known. Raises InputError."""
    if not there.region:
        raise InputError("nothing tells the cluster's region: add --region REGION (nodes have it as a label)")
    if there.region not in REGIONS:
        known = one_of(there.region, sorted(REGIONS))
        raise InputError(f"{there.region!r} is no region in which GPUs are known: {known}")
    if not there.cluster:
        raise InputError("nothing tells the cluster's name: add --cluster NAME, as EKS calls it")
    return there


# --- The account ------------------------------------------------------------------------------------------------------


def _asked_account(there: Inventory, account: Account) -> tuple[Inventory, list[Finding]]:
    """What EKS and IAM know better than the cluster's objects."""
    said = []
    match cluster_of(account, there.cluster):
        case Found(value):
            there = replace(
                there,
                kubernetes=str(value.get("version") or there.kubernetes),
                auto_mode=there.auto_mode or in_auto_mode(value),
                authentication_mode=mode_of(value),
            )
            there, unseen_place = _with_place(_with_rights(there, account, value), account, value)
            said += unseen_place
        case Absent():
            text = f"EKS knows no cluster {there.cluster} in {there.region}: are these credentials of its account?"
            said.append(Finding(status="missing", about="AWS", text=text))
        case Unseen() as unseen:
            said.append(Finding(status="unseen", about="AWS", text=f"{there.cluster} {unseen}"))
    chosen = model_class(there)
    if chosen is not None and chosen.profile and not chosen.role:
        match role_of(account, chosen.profile):
            case Found(role):
                classes = [replace(each, role=role) if each == chosen else each for each in there.node_classes]
                there = replace(there, node_classes=classes)
            case Absent():
                text = f"IAM has no instance profile {chosen.profile} with a role"
                said.append(Finding(status="missing", about="role of nodes", text=text))
            case Unseen() as unseen:
                said.append(Finding(status="unseen", about="role of nodes", text=str(unseen)))
    return there, said


def _with_place(there: Inventory, account: Account, cluster: Mapping[str, Any]) -> tuple[Inventory, list[Finding]]:
    """Where nodes of the stack's own Karpenter go, where it is to install one."""
    if there.karpenter is not None or there.auto_mode:
        return there, []
    match place_of(account, there.cluster, cluster):
        case Found(place):
            return replace(there, network=place.keys), []
        case Unseen() as unseen:
            return there, [Finding(status="unseen", about="subnets and security groups", text=str(unseen))]
        case Absent():
            return there, []
        case _ as never:
            assert_never(never)


def _with_rights(there: Inventory, account: Account, cluster: Mapping[str, Any]) -> Inventory:
    """By what a Karpenter of the stack's own gets its role; what runs in the cluster counts before its add-ons."""
    if there.karpenter is not None or there.auto_mode:
        return there
    agent = there.rights.agent or has_agent(account, there.cluster)
    if agent is None:
        agent = there.rights.agent
    # Only who lacks the agent needs to know.
    provider = has_provider(account, cluster) if agent is False else None
    return replace(there, rights=Rights(agent=agent, provider=there.rights.provider if provider is None else provider))


#: What the account's verdicts are called here.
_STATUS: dict[requirement.Status, Status] = {
    "ok": "fits",
    "missing": "missing",
    "note": "note",
    "unseen": "unseen",
    "unasked": "unseen",
}


def _of_account(found: Report, account: Account) -> Sequence[Finding]:
    """What `slices check` would ask of the file that is written; nothing where it does not load."""
    if not found.fits:
        return []
    config = parse(found.written.values, stack=found.stack, region=found.there.region)
    return [
        Finding(
            status=_STATUS[each.status],
            about=each.requirement.what,
            text=each.detail,
            line=next((shell_text(command) for command in each.mend), ""),
        )
        for each in account_findings(config, account)
    ]
