"""The `slices` command line. A command is imported when it runs, so that `--help` answers at once."""

from __future__ import annotations

import atexit
import errno
import gc
import os
import sys
from pathlib import Path
from typing import Any

import click

from cli.calling import Form, directory_option, interruptible, no_output, plainly, stack_argument


class _Process(click.Group):
    """Commands that, called as a program, have the process for themselves."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the program that was asked for on the command line, and end."""
        # A short run that allocates much and frees little: collecting would look at ever more live objects, and once
        # more at all of them when the process ends. That is a quarter of its time.
        gc.disable()
        atexit.register(gc.freeze)
        # Nothing here plugs into pydantic, which would read the metadata of every installed package to find that out.
        os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
        try:
            return super().__call__(*args, **kwargs)
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            no_output(error)


#: The twin's commands, in the order of `--help`; their module is imported when one is asked for, or listed.
TWIN_COMMANDS = ("up", "status", "watch", "request", "scenario", "down")


class _Commands(_Process):
    def list_commands(self, ctx: click.Context) -> list[str]:
        """Ours, then the twin's."""
        return [*super().list_commands(ctx), *TWIN_COMMANDS]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """A command by name."""
        if cmd_name not in TWIN_COMMANDS:
            return super().get_command(ctx, cmd_name)
        from cli import twin  # noqa: PLC0415

        command: click.Command = getattr(twin, cmd_name)
        return command


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="gpu-slices", prog_name="slices")
def main() -> None:
    """Plan GPU platforms on EKS without a cloud: what a stack builds, how its GPUs are shared, what it costs."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by whoever started us
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115  until the end
    for stream in (sys.stdout, sys.stderr):
        # A terminal that cannot show a character gets a question mark, not a traceback.
        stream.reconfigure(errors="replace")  # type: ignore[union-attr]


@main.command(short_help="Write a stack file of your own: a few questions, each also an option.")
@stack_argument(needed=False)
@directory_option
@click.option("--region", help="AWS region.")
@click.option("--model", "models", multiple=True, metavar="MODEL", help="An Ollama model; may stand several times.")
@click.option("--gpu", "families", multiple=True, metavar="FAMILY", help="An instance family; may stand several times.")
@click.option("--sharing", metavar="STRATEGY", help="time-slicing, mps, mig, none or memory.")
@click.option("--email", metavar="ADDRESS", help="Who hears when the budget is reached. Without it there is no budget.")
@click.option("--monthly-usd", type=click.FloatRange(0.01), help="The budget, with --email.  [default: 400]")
@click.option("--yes", is_flag=True, help="Take the suggestion wherever no option says otherwise.")
@plainly
def init(stack: str | None, directory: Path, yes: bool, **options: Any) -> int:
    """Write Pulumi.STACK.yaml: a stack of your own that can be planned at once.

    Offers the regions, GPUs and ways to share them that hold the models (docs/choosing.md lists all). Never
    overwrites a file. Exit status: 0, 2 if something does not go together.
    """
    from cli.init import Answers, init_stack  # noqa: PLC0415

    return init_stack(directory, stack, Answers(**options), yes=yes)


@main.command(short_help="Write a stack file for a cluster that is there, and say what sharing changes.")
@stack_argument(needed=False)
@directory_option
@click.option(
    "--from",
    "source",
    type=click.Path(exists=True, path_type=Path),
    metavar="DIR",
    help="Read an export of `kubectl get -o yaml` instead of a cluster.",
)
@click.option(
    "--kubeconfig",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="As kubectl's own option.",
)
@click.option("--context", metavar="NAME", help="As kubectl's own option.")
@click.option("--cluster", metavar="NAME", help="Name of the cluster in EKS, where nothing tells it.")
@click.option("--region", metavar="REGION", help="Its region, where nothing tells it.")
@click.option("--pod-mib", type=click.IntRange(1), metavar="MIB", help="GPU memory that a pod needs.  [default: half]")
@click.option("--overwrite", is_flag=True, help="Replace the stack file that is there.")
@click.option("--json", "as_data", is_flag=True, help="Print the report as JSON.")
@plainly
def adopt(stack: str | None, directory: Path, overwrite: bool, as_data: bool, **options: Any) -> int:
    """Look at a cluster that is there, by GET alone, and report on its GPUs; with STACK write Pulumi.STACK.yaml for it.

    Says what there is, what fits and what is missing to share its GPUs, and what its GPU pods cost today and would
    cost on slots. With AWS credentials it asks the account too. Exit status: 0, 5 if something could not be looked at,
    4 if no stack file would be right, 2 if nothing can be read.
    """
    from cli.adopt import Asked, adopt_cluster  # noqa: PLC0415  loads the policy pack

    return adopt_cluster(directory, stack, Asked(**options), overwrite=overwrite, as_data=as_data)


@main.command(short_help="What a stack builds, how its GPUs are shared, what it costs.")
@stack_argument()
@directory_option
@click.option("--json", "as_json", is_flag=True, help="Print the plan as JSON (docs/plan-json.md).")
@click.option(
    "--manifests",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Write the objects inside the cluster to DIR, as YAML and in the order in which they must be applied.",
)
@click.option(
    "--policy-config",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Configuration of the policy pack.  [default: policy/config.json of the project]",
)
@click.option(
    "--explain",
    metavar="COST",
    help="Say why one figure is what it is: a line of the bill, floor, total, ceiling, … (docs/costs.md).",
)
@click.option("--all", "show_all", is_flag=True, help="Show every resource by name; equal ones are counted otherwise.")
@plainly
def plan(stack: str, directory: Path, **options: Any) -> int:
    """Show what STACK would build, how its GPUs are shared, what it costs, and what the policies say.

    Runs the stack's own program without a cloud, an account or the Pulumi CLI. Exit status: 0, 2 if what was
    given or the stack file is wrong, 3 if a mandatory policy is violated, 1 if the program itself fails.
    """
    from cli.commands import plan_stack  # noqa: PLC0415  loads Pulumi, for which --help must not wait

    return plan_stack(directory, stack, **options)


@main.group(short_help="Prices that the plan reckons with.")
def prices() -> None:
    """Prices that the plan reckons with."""


@prices.command(short_help="Ask AWS for today's prices of a region.")
@directory_option
@click.option(
    "--region",
    "regions",
    multiple=True,
    metavar="REGION",
    help="May stand several times.  [default: the regions of the project's stacks]",
)
@click.option(
    "--days", type=click.IntRange(1, 90), default=30, show_default=True, help="Days of Spot prices; AWS keeps 90."
)
@plainly
def refresh(directory: Path, regions: tuple[str, ...], days: int) -> int:
    """Ask AWS for on-demand prices, unit prices of services and Spot prices, and write prices/REGION.json.

    Takes the credentials that every AWS tool takes, and only reads. What does not come, or cannot be believed, stays
    as it was, and is told. Exit status: 0, 5 if something stayed, 2 if nothing could be asked.
    """
    from cli.prices import refresh_prices  # noqa: PLC0415  loads boto3's neighbours

    with interruptible(lambda: "prices that were not written yet stay as they were"):
        return refresh_prices(directory, regions, days)


@main.group("cost", short_help="What a change costs.")
def cost() -> None:
    """What a change costs."""


@cost.command("diff", short_help="What a stack costs more than at another revision, and why.")
@click.argument("before", metavar="REV")
@click.argument("after", metavar="[REV]", required=False)
@click.option(
    "-s", "--stack", "stacks", multiple=True, metavar="STACK", help="May stand several times.  [default: all]"
)
@directory_option
@click.option("--json", "form", flag_value="json", help="Print it as JSON (docs/costs.md).")
@click.option("--markdown", "form", flag_value="markdown", help="Print it as Markdown, for a pull request.")
@click.option("--limit", type=click.FloatRange(0), metavar="USD", help="Fail if it is more a month, of all stacks.")
@plainly
def cost_diff(before: str, after: str | None, directory: Path, form: Form | None, **options: Any) -> int:
    """Show what the stacks cost more than at REV, a revision of git: the working tree, or a second REV.

    Plans each side with the files of that revision, its program included, in a temporary folder; so it runs
    that program. Exit status: 0, 2 if a revision is not there or a stack cannot be planned after the change, 4 if all
    stacks together are expected to cost more than --limit, or nobody knows what they cost.
    """
    from cli.cost import cost_diff as diff  # noqa: PLC0415  loads the stack's schema

    with interruptible():
        return diff(directory, before, after, form=form or "text", **options)


@main.command("judge", short_help="What the policies say of anybody's Pulumi, Terraform or Kubernetes files.")
@click.argument("paths", metavar="PATH...", nargs=-1, required=True)
@click.option(
    "--config",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Configuration of the policy pack, as for `pulumi preview --policy-pack-config`.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the verdicts as JSON (docs/policies.md).")
@plainly
def judge(paths: tuple[str, ...], **options: Any) -> int:
    """Judge PATH..., whoever wrote it and without running anything: all that is given, as one platform.

    A PATH is `-` for standard input, a file or a folder: what `pulumi preview --json`, `pulumi stack export` or
    `terraform show -json` print, configuration of Terraform in JSON, objects of Kubernetes in YAML or JSON, a template
    of CloudFormation. Exit status: 0, 2 if a PATH cannot be read, 3 if a mandatory policy is violated, 5 if none is
    and a file below a folder cannot be read, or there was nothing to judge.
    """
    from cli.judge import judge_files  # noqa: PLC0415  loads Pulumi, for which --help must not wait

    return judge_files(paths, **options)


@main.command(short_help="What a model needs of its slot, from the table or its GGUF file.")
@click.argument("name")
@click.option(
    "--gguf",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="The model's file, for one that the built-in table does not know.",
)
@click.option("--parallel", type=click.IntRange(1, 64), default=1, help="Requests at a time.", show_default=True)
@click.option(
    "--kv-cache-type",
    type=click.Choice(["f16", "q8_0", "q4_0"]),
    default="f16",
    help="As in the stack file.",
    show_default=True,
)
@plainly
def model(name: str, gguf: Path | None, **options: Any) -> int:
    """Show the memory that NAME (Ollama's, such as gemma3:4b) needs at several contexts.

    With --gguf the header of that file counts, and the keys for a stack file are printed. Exit status: 0, 2 if the
    model is not known or the file is no whole GGUF file.
    """
    from cli.model import show_model  # noqa: PLC0415  as the others

    return show_model(name, gguf, **options)


@main.group("open", short_help="Open what a stack serves in the browser.")
def open_() -> None:
    """Open what a stack serves in the browser."""


@open_.command("dialogue", short_help="The page on which a stack's models talk.")
@stack_argument("dev")
@directory_option
@plainly
def open_dialogue(stack: str, directory: Path) -> int:
    """Open the dialogue of STACK in the browser, until Ctrl-C.

    Finds the cluster, takes your key from the dialogue's Secret or makes one, wakes the service, and opens the page: by
    the door's name where this machine reaches it, else on localhost, through `kubectl port-forward`. Needs the
    AWS CLI and kubectl. Exit status: 0, 1 if the cluster cannot be reached, 2 if the stack has no such page.
    """
    from cli.open import open_dialogue as open_page  # noqa: PLC0415  loads the stack's schema

    with interruptible():
        return open_page(directory, stack)


@open_.command("monitoring", short_help="Grafana, with the dashboard of the stack's GPUs.")
@stack_argument("dev")
@directory_option
@plainly
def open_monitoring(stack: str, directory: Path) -> int:
    """Open Grafana of STACK in the browser, until Ctrl-C, and say its password.

    For stacks with `monitoring.backend: prometheus`. Grafana is reached from inside the cluster alone: this goes by
    `kubectl port-forward`. Needs the AWS CLI and kubectl. Exit status: 0, 1 if the cluster cannot be reached, 2 if
    the stack has no Grafana.
    """
    from cli.open_monitoring import open_monitoring as open_grafana  # noqa: PLC0415  loads the stack's schema

    with interruptible():
        return open_grafana(directory, stack)


@main.command(short_help="What must be true in the AWS account before the first `pulumi up`.")
@stack_argument()
@directory_option
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON (docs/operations.md).")
@plainly
def check(stack: str, directory: Path, as_json: bool) -> int:
    """Ask AWS whether STACK can be built: quotas, capacity, access, names, and what else its plan relies on.

    Takes the credentials that every AWS tool takes, only reads, and says for each thing that is missing what mends
    it. Without credentials it prints the commands to look by hand. Exit status: 0 if nothing is missing, 4 if
    something is, 5 if something could not be looked at, 2 and 1 as for `slices plan`.
    """
    from cli.check import check_stack  # noqa: PLC0415  loads Pulumi, for which --help must not wait

    return check_stack(directory, stack, as_json=as_json)


@main.command(short_help="What a stack really cost, by day and by service.")
@stack_argument()
@directory_option
@click.option("--days", type=click.IntRange(1, 365), default=14, show_default=True, help="Days before today.")
@plainly
def spend(stack: str, directory: Path, days: int) -> int:
    """Show what STACK cost, by its tag in AWS Cost Explorer, whose every answer costs 0.01 USD.

    Takes the credentials that every AWS tool takes, and only reads. Exit status: 0, 5 if AWS does not show it, 2 as
    for `slices plan`.
    """
    from cli.spend import show_spend  # noqa: PLC0415  loads boto3

    return show_spend(directory, stack, days)


@main.command(short_help="End a stack: what to do first, and proof that nothing is left of it.")
@stack_argument()
@directory_option
@click.option(
    "--account",
    "account_id",
    metavar="ID",
    help="The stack's AWS account, where Pulumi's state does not tell it any more.",
)
@click.option("--delete", is_flag=True, help="Delete what is left. Asks for the stack's name first.")
@click.option("--yes", metavar="STACK", help="With --delete: the stack's name, instead of the question.")
@plainly
def teardown(stack: str, directory: Path, **options: Any) -> int:
    """Say how STACK ends, and prove that it has: of some 30 kinds of things none in AWS carries its tags.

    Deletes nothing without --delete, nothing while the EKS cluster stands (that is the work of `pulumi destroy`),
    and never anything of another stack. Refuses a protected stack and another account than the stack's. Exit
    status: 0 if nothing is left, 4 if something is, 5 if something could not be looked at, 2 and 1 as for `slices
    plan`.
    """
    from cli.teardown import teardown_stack  # noqa: PLC0415  loads boto3

    return teardown_stack(directory, stack, **options)
