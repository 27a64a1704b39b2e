"""Writes docs/permissions.md: `python -m account.document`; `--check` only compares.

The policies are made of the calls that the commands make, so that none is missing and none is too many.
"""

from __future__ import annotations

import ast
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from account import spend
from account.preflight.names import NAMED
from account.preflight.quotas import COUNTED
from account.session import Account, iam_action
from account.teardown.kinds import Call
from account.teardown.table import KINDS

TARGET: Final = Path(__file__).resolve().parent.parent / "docs" / "permissions.md"
PREFLIGHT: Final = Path(__file__).resolve().parent / "preflight"
ADOPTING: Final = Path(__file__).resolve().parent / "adopting.py"
ASKING: Final = Path(__file__).resolve().parent / "prices" / "ask.py"

_PAGE = """# Permissions of the commands that ask AWS

Written by `make docs` from the calls that the commands make. All take the credentials that every AWS tool takes. What
they may not look at they say, and the result is then not proven: exit status 5.

## Looking

Enough for `slices check`, `slices adopt`, `slices spend` and for `slices teardown` without `--delete`. It changes
nothing and reads no data, only what is there, how it is tagged and what it cost. AWS' own `ReadOnlyAccess` and
`SecurityAudit` hold more than this.

```json
{looking}
```

## Prices

What `slices prices refresh` asks. It reads public prices, and nothing of the account's.

```json
{prices}
```

## Deleting

What `slices teardown --delete` needs beside it. Only things that carry the stack's own tags, or the cluster's whole
name, are deleted ([operations](operations.md)); the policy cannot say that for every service, so give it for the
occasion.

```json
{deleting}
```
"""


def page() -> str:
    """The page."""
    adopting = calls_in(ADOPTING.read_text(encoding="utf-8"))
    looking = {*preflight_calls(), *adopting, *spend.CALLS, *(call for kind in KINDS for call in kind.reads)}
    deleting = {call for kind in KINDS for call in kind.deletes}
    asking = set(calls_in(ASKING.read_text(encoding="utf-8")))
    return _PAGE.format(
        looking=_policy("Look", looking), prices=_policy("Prices", asking), deleting=_policy("Delete", deleting)
    )


def preflight_calls() -> set[Call]:
    """Every operation that `slices check` asks for: those in its source, and those of its tables."""
    written = {call for path in sorted(PREFLIGHT.glob("*.py")) for call in calls_in(path.read_text(encoding="utf-8"))}
    named = {Call(row.service, row.operation) for row in NAMED.values()}
    return written | named | {Call(row.service, row.operation) for row in COUNTED.values()}


def calls_in(source: str) -> Iterator[Call]:
    """Service and operation of every `ask` and `collect`. Raises ValueError where they are not written out.

    An operation may be the variable of a loop over some; those of a row in a table are left to whoever reads the table.
    """
    tree = ast.parse(source)
    loops = {
        loop.target.id: [each.value for each in loop.iter.elts if isinstance(each, ast.Constant)]
        for loop in ast.walk(tree)
        if isinstance(loop, ast.For) and isinstance(loop.target, ast.Name) and isinstance(loop.iter, ast.Tuple)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in ("ask", "collect"):
            match node.args[:2]:
                case [ast.Constant(str(service)), ast.Constant(str(operation))]:
                    yield Call(service, operation)
                case [ast.Constant(str(service)), ast.Name(name)] if name in loops:
                    yield from (Call(service, str(operation)) for operation in loops[name])
                case [ast.Attribute(attr="service"), ast.Attribute(attr="operation")]:
                    pass
                case _:
                    raise ValueError(f"{ast.unparse(node)}: service and operation must be written out")


def _policy(sid: str, calls: set[Call]) -> str:
    account = Account("us-east-1")  # only boto3's models are read
    actions = sorted({iam_action(account.client(call.service), call.operation) for call in calls})
    statement = {"Sid": sid, "Effect": "Allow", "Action": actions, "Resource": "*"}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]}, indent=2)


def main() -> int:
    """Write the page, or compare it; the exit status."""
    text = page()
    if "--check" not in sys.argv[1:]:
        TARGET.write_text(text, encoding="utf-8")
        return 0
    return int(not TARGET.exists() or TARGET.read_text(encoding="utf-8") != text)


if __name__ == "__main__":
    sys.exit(main())
