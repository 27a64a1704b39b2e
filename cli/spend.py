"""`slices spend`: what a stack really cost, by day and by service."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import assert_never

from rich.console import Console
from rich.text import Text

from account.commands import aws, shell_text
from account.session import Account, Unseen
from account.spend import Spend, spend
from account.teardown.target import read_region
from cli.console import command, hanging, write
from cli.errors import UNSEEN_ERROR
from cli.tables import section, table
from gpu.contract import STACK_TAG

#: Columns of the longest bar.
_BAR = 30
_LATE = "Cost Explorer is a day behind, and still changes the days marked *."


def show_spend(directory: Path, stack: str, days: int) -> int:
    """Print what a stack cost; gives the exit status. Raises InputError for a stack file that cannot be read."""
    region = read_region(directory.resolve(), stack)
    found = spend(Account(region), stack, days, datetime.now(UTC).date())
    if isinstance(found, Unseen):
        write(lambda console: _unseen(console, stack, found))
        return UNSEEN_ERROR
    write(lambda console: _render(console, stack, found))
    return UNSEEN_ERROR if isinstance(found.tag, Unseen) else 0


def _unseen(console: Console, stack: str, unseen: Unseen) -> None:
    hanging(console, "", f"What stack {stack} cost {unseen}")
    if unseen.login:
        for each in unseen.login.mend:
            command(console, shell_text(each), 2)
    elif unseen.cause == "denied":
        hanging(
            console,
            "",
            "Cost Explorer must be switched on once in the Billing console, and in an organisation the management "
            "account may keep it from others.",
        )


def _render(console: Console, stack: str, found: Spend) -> None:
    first, last = found.days[0].day, found.days[-1].day
    console.print(Text(f"Spend of stack {stack}, {first} to {last}, by tag {STACK_TAG}", style="bold"))
    if not any(day.by_service for day in found.days):
        _nothing(console, found)
        return
    most = max(day.usd for day in found.days)
    rows = table("Day", "USD", "", texts=1)
    rows.columns[2].justify = "left"
    for day in found.days:
        bar = "█" * round(_BAR * day.usd / most) if most > 0 else ""
        rows.add_row(f"{day.day}{'' if day.final else ' *'}", f"{day.usd:,.2f}", bar)
    section(console, "By day", rows)
    services = table("Service", "USD", texts=1)
    for service, usd in found.by_service.items():
        services.add_row(service, f"{usd:,.2f}")
    section(console, "By service", services)
    count = len(found.days)
    console.print(f"\nTogether {found.usd:,.2f} USD, {found.usd / count:,.2f} a day.")
    if not all(day.final for day in found.days):
        console.print(_LATE)


def _nothing(console: Console, found: Spend) -> None:
    activate = aws(
        "ce",
        "update-cost-allocation-tags-status",
        region="us-east-1",
        cost_allocation_tags_status=f"TagKey={STACK_TAG},Status=Active",
    )
    match found.tag:
        case "active":
            hanging(console, "", "Nothing was spent, or the figures are not there yet: Cost Explorer is a day behind.")
        case "inactive":
            hanging(console, "", "Nothing is known: the tag is no active cost allocation tag. Days before count never.")
            command(console, shell_text(activate), 2)
        case "never seen":
            hanging(
                console,
                "",
                "Nothing is known: Billing has never seen the tag. It does a day after the first up; then activate it.",
            )
            command(console, shell_text(activate), 2)
        case Unseen() as unseen:
            hanging(
                console,
                "",
                f"Nothing was spent, or the tag is not active: which of the two {unseen}. In an organisation only the "
                "management account sees its tags.",
            )
        case _:
            assert_never(found.tag)
