"""docs/permissions.md: what the commands call, no more and no less."""

import pytest

from account.document import TARGET, calls_in, page, preflight_calls
from account.session import Account, iam_action
from account.teardown.kinds import Call
from account.teardown.table import KINDS


def test_the_page_is_what_the_calls_come_to() -> None:
    assert TARGET.read_text(encoding="utf-8") == page(), "run make docs"


def test_looking_changes_nothing() -> None:
    reads = preflight_calls() | {call for kind in KINDS for call in kind.reads}
    assert {call.operation.partition("_")[0] for call in reads} == {"describe", "get", "list"}
    deletes = {call for kind in KINDS for call in kind.deletes}
    assert not reads & deletes


def test_actions_have_the_names_of_iam() -> None:
    account = Account("us-east-1")
    names = {
        call: iam_action(account.client(call.service), call.operation)
        for call in (
            Call("elbv2", "describe_tags"),
            Call("budgets", "describe_budget"),
            Call("budgets", "delete_budget"),
            Call("budgets", "describe_budget_actions_for_budget"),
            Call("s3", "list_objects_v2"),
            Call("s3", "delete_objects"),
        )
    }
    # Service authorization reference, "Elastic Load Balancing V2" and "AWS Budget Service".
    assert list(names.values()) == [
        "elasticloadbalancing:DescribeTags",
        "budgets:ViewBudget",
        "budgets:ModifyBudget",
        "budgets:DescribeBudgetActionsForBudget",
        "s3:ListBucket",
        "s3:DeleteObject",
    ]


def test_a_call_that_is_not_written_out_is_an_error() -> None:
    assert list(calls_in("account.ask('iam', 'get_role')")) == [Call("iam", "get_role")]
    loop = "for operation in ('a', 'b'):\n    account.collect('iam', operation, 'x')"
    assert list(calls_in(loop)) == [Call("iam", "a"), Call("iam", "b")]
    with pytest.raises(ValueError, match="written out"):
        list(calls_in("account.ask('iam', f'get_{kind}')"))
