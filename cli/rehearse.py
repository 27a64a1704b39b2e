"""`slices up STACK --export DIR`: a rehearsal of a stack beside what somebody's cluster has."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.text import Text

from adopt.export import ExportError, read_export
from adopt.inventory import Inventory, inventory
from adopt.karpenter_findings import refusal
from adopt.played import played
from adopt.proposal import propose
from cli.console import printable
from cli.tables import table
from config.errors import PROJECT
from config.load import parse
from config.schema import StackConfig
from gpu.prices import HOURS_PER_MONTH
from plan.errors import InputError
from plan.project import find_project, load_stack
from twin.machine.state import TwinState
from twin.plan import TwinPlan
from twin.theirs import Outcome, Play, Side, with_theirs
from twin.up import Up


class Rehearsal:
    """What the twin plays of an export, for a stack, and what came of it."""

    def __init__(self, directory: Path, stack: str, source: Path) -> None:
        """Raises InputError for an export that cannot be played, ConfigError as `slices plan` does."""
        read = load_stack(find_project(directory), stack)
        config = parse(read.values_of(PROJECT), stack=stack, region=read.values.get("aws:region"))
        if config.cluster.existing is None:
            raise InputError(f"stack {stack} has no cluster.existing, with which --export goes (docs/adopting.md)")
        self._existing = config.karpenter.existing
        try:
            objects = read_export(source)
        except ExportError as error:
            raise InputError(str(error)) from error
        there = inventory(objects, cluster=config.cluster_name, region=config.region)
        _refuse_wrong_ground(config, there)
        found = played(objects, there, propose(there))
        if not found.work:
            why = "\n".join(found.left_out)
            raise InputError(f"{source}: holds no pods with GPUs that the twin could play\n{why}".rstrip())
        self._theirs = found
        self._outcome: Outcome | None = None

    def plans(self, plan: TwinPlan) -> tuple[TwinPlan, TwinPlan]:
        """Of the stack's plan: theirs alone, and the stack beside it."""
        return with_theirs(plan, self._theirs, self._existing)

    def run(self, state: TwinState, up: Up, make_plan: Callable[[], TwinPlan], say: Callable[[str], None]) -> TwinPlan:
        """Bring up what is theirs, then the stack beside it, and give their pods slots. The caller holds the lock."""
        made: list[TwinPlan] = []

        def first() -> TwinPlan:
            made.extend(self.plans(make_plan()))
            return made[0 if self._theirs.running else 1]

        up.run(first)
        play = Play(state, made[1], self._theirs, say)
        side, uids = play.settle()
        if self._theirs.running:
            say("The stack comes beside it")
            up.run(lambda: made[1])
        self._outcome = play.move(side, uids)
        return made[1]

    @property
    def outcome(self) -> Outcome:
        """What it showed. Raises ValueError before it has run."""
        if self._outcome is None:
            raise ValueError("it has not run")
        return self._outcome

    def show(self, console: Console) -> None:
        """Print nodes, slots and dollars, before and after."""
        outcome = self.outcome
        rows = table("GPU nodes in the twin", "what", "nodes", "slots", "pods", "USD/h", "USD/month", texts=2)
        if self._theirs.running:
            _row(rows.add_row, "before", outcome.before)
            _row(rows.add_row, "the stack's, beside them", outcome.shared)
            _row(rows.add_row, "when the old pods are gone", outcome.after)
        else:
            _row(rows.add_row, "the stack's", outcome.shared)
        console.print(rows)
        if self._theirs.running:
            console.print(f"{outcome.untouched} of {outcome.ran} pods that ran before run on, untouched.")
        if outcome.waiting:
            console.print(f"{outcome.waiting} pods wait for a slot: maxGpus of the pool may be too small.")
        for each in self._theirs.left_out:
            console.print(Text(printable(f"Not played: {each}")))


def _refuse_wrong_ground(config: StackConfig, there: Inventory) -> None:
    """Raises InputError where the export is of a cluster in which the stack could not stand."""
    if config.karpenter.existing is not None:
        return
    if (refused := refusal(there)) is not None:
        raise InputError(f"{refused.about}: {refused.text}")
    if there.karpenter is not None:
        raise InputError(
            f"the export has a Karpenter, and stack {config.stack} would install its own beside it: write "
            "karpenter.existing; `slices adopt` writes it (docs/adopting.md)"
        )


def _row(add: Callable[..., None], name: str, side: Side) -> None:
    what = ", ".join(f"{number} x {kind}" for kind, number in side.gpus.items()) or "none"
    month = side.usd_per_hour * HOURS_PER_MONTH
    add(name, what, str(side.nodes), str(side.slots), str(side.pods), f"{side.usd_per_hour:.2f}", f"{month:,.0f}")
