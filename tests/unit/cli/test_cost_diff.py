"""`slices cost diff`: what a change costs, worked by hand, USD a month at us-east-1; and revisions as git has them."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from cli.main import main
from cli.render_cost import as_json, as_markdown
from gpu.bill import Line, Spread
from plan.as_json import plan_json
from plan.cost.diff import Row, StackDiff, ceiling_of, compared, total_of
from plan.cost.reasons import Reason, of_configuration, of_versions
from plan.cost.revision import Bill, read_bill
from tests.patience import PATIENCE, until
from tests.unit.cli.plans import plan_of
from tests.unit.config.support import GONE, ON_DEMAND, changed, problems_of

ROOT = Path(__file__).parents[3]
SPOT_L4, L4 = 0.4024, 0.8048
#: A plan's JSON has whole cents, so that a difference of two may be one off.
CENT = 0.011
#: Hours of a month in which models that may sleep hold their slots: 8 a day.
USED = 8 * 730 / 24
STARTS = 730 / 24
EXTRA = {"name": "extra", "model": "llama3.2:3b", "pool": "shared"}
#: L4 nodes alone, so that one type is bought; two zones, of which one has the NAT gateway.
BASE = {"dialogue": GONE, "pools[0].instanceFamilies": ["g6"], "network.zoneIds": ["use1-az1", "use1-az2"]}


def stack(**changes: Any) -> dict[str, Any]:
    return changed({**BASE, **changes})


def bill_of(raw: dict[str, Any], region: str = "us-east-1") -> Bill:
    found = read_bill(plan_json(plan_of(raw, region=region)))
    assert found is not None
    return found


def diff_of(before: dict[str, Any], after: dict[str, Any]) -> StackDiff:
    values = [{f"gpu-slices:{key}": json.dumps(value) for key, value in each.items()} for each in (before, after)]
    bills = bill_of(before), bill_of(after)
    return StackDiff(
        stack="dev",
        before=bills[0],
        after=bills[1],
        existed=True,
        exists=True,
        rows=tuple(compared(*bills)),
        configuration=tuple(of_configuration(*values)),
    )


def changes_of(diff: StackDiff) -> dict[str, float]:
    return {f"{row.part}: {row.name}": round(row.change.expected, 2) for row in diff.rows if row.change}


def expected(diff: StackDiff) -> float:
    assert diff.change is not None
    return diff.change.expected


# --- What changes cost, by hand ---------------------------------------------------------------------------------------


def test_a_pool_from_spot_to_on_demand() -> None:
    """One L4 node for 243.33 h: 0.8048 instead of half of it is 97.92 more; instead of 43 % of it, 111.62."""
    bought = {"pools[0].capacityType": "on-demand", "pools[0].onDemand": ON_DEMAND}
    diff = diff_of(stack(), stack(**bought))
    assert changes_of(diff) == pytest.approx({"on demand: GPU nodes, shared": 97.92}, abs=CENT)
    assert expected(diff) == pytest.approx(USED * (L4 - SPOT_L4), abs=CENT)
    assert diff.change is not None
    assert diff.change.low == pytest.approx(USED * L4 * 0.57, abs=CENT)
    assert [(each.what, each.before, each.after) for each in diff.configuration] == [
        ("pools[shared].capacityType", None, "on-demand"),
        (
            "pools[shared].onDemand",
            None,
            "{justification: GPU-142: must answer during Spot shortages, expires: 2027-03-31}",
        ),
    ]
    (row,) = diff.rows
    assert row.detail == ("3 slots, 243 h of g6.xlarge, Spot estimate → 3 slots, 243 h of g6.xlarge, on-demand")


def test_a_third_model_fits_the_node_and_costs_its_weights_traffic() -> None:
    """1,918 MiB are 2.011 GB a start: 30.42 x 2.011 x 0.045 = 2.75 through NAT; half of it crosses zones at 0.02."""
    two = stack(**{"models[2]": GONE})
    diff = diff_of(two, stack())
    gigabytes = 1918 * 2**20 / 1e9
    assert changes_of(diff) == pytest.approx(
        {
            "on demand: GPU nodes, shared": 0,
            "on demand: Volumes, shared": 0,  # only the high end, where each has a node of its own
            "traffic and logs: Images and weights": round(STARTS * gigabytes * 0.045, 2),
            "traffic and logs: Between zones": round(STARTS * gigabytes * 0.02 / 2, 2),
        },
        abs=CENT,
    )
    assert 2.7 < expected(diff) - STARTS * gigabytes * 0.01 < 2.8
    assert [each.what for each in diff.configuration] == ["models[llama3-2]"]


def test_a_fourth_model_buys_a_node() -> None:
    """A second node of three slots for 243.33 h: 97.92, and its volume 13 x 243.33 / 730 = 4.33."""
    diff = diff_of(stack(), stack(**{"models[3]": EXTRA}))
    found = changes_of(diff)
    assert found["on demand: GPU nodes, shared"] == pytest.approx(97.92, abs=CENT)
    assert found["on demand: Volumes, shared"] == pytest.approx(4.33, abs=CENT)


def test_more_gpus_that_nobody_asks_for_yet_raise_the_ceiling_alone() -> None:
    """A third g6.16xlarge around the clock: half of 3.3968 x 730 = 1,239.83, and its volume, 13."""
    diff = diff_of(stack(), stack(**{"pools[0].maxGpus": 3}))
    assert diff.change == Spread.even(0)
    before, after = ceiling_of(diff.before), ceiling_of(diff.after)
    assert before is not None
    assert after is not None
    assert after - before == pytest.approx(1_252.83, abs=CENT)
    assert f"| **ceiling** |  | {before:,.2f} | {after:,.2f} | +1,252.83 |" in as_markdown("main", "HEAD", [diff])
    sides = json.loads(as_json("main", "HEAD", [diff], None))["stacks"][0]
    assert [sides[side]["ceilingUsdPerMonth"] for side in ("from", "to")] == [round(before, 2), round(after, 2)]


def test_a_warm_slot_always_runs() -> None:
    """No model: a slot kept warm is a node around the clock, 0.4024 x 730 = 293.75, and its volume, 13."""
    diff = diff_of(stack(models=[]), stack(models=[], **{"pools[0].warm": {"slots": 1}}))
    assert changes_of(diff) == pytest.approx(
        {"always: GPU nodes, shared": 293.75, "always: Volumes, shared": 13.0}, abs=CENT
    )
    assert expected(diff) == pytest.approx(306.75, abs=CENT)
    assert [each.what for each in diff.configuration] == ["pools[shared].warm"]


def test_eks_into_extended_support_is_refused_with_its_price() -> None:
    """0.60 instead of 0.10 an hour: 0.50 x 730 = 365.00. The stack lets no cluster go there, so no bill has it."""
    (problem,) = problems_of(changed({"cluster.version": "1.33"}))
    assert problem.path == ("cluster", "version")
    assert "extended support costs six times as much (365.00 USD a month more)" in problem.message


def test_another_region() -> None:
    """The L4 node for 243.33 h, on demand 0.8048 in Virginia and 1.0064 in Frankfurt: 49.06 more; two system nodes,
    0.0816 and 0.0978, are 23.65 more. Of other services no price is known there, so that the whole is not known."""
    bought = {"pools[0].capacityType": "on-demand", "pools[0].onDemand": ON_DEMAND, "network": {}}
    virginia, frankfurt = (bill_of(stack(**bought), region) for region in ("us-east-1", "eu-central-1"))
    rows = {row.name: row.change for row in compared(virginia, frankfurt)}
    nodes, system = rows["GPU nodes, shared"], rows["System nodes"]
    assert nodes
    assert system
    assert (nodes.expected, system.expected) == pytest.approx((USED * 0.2016, 2 * 730 * 0.0162), abs=CENT)
    assert rows["NAT gateway"] is None
    assert frankfurt.total is None


def test_a_region_whose_prices_nobody_has_is_not_known() -> None:
    unpriced = Bill(lines=tuple(Line(line.part, line.name, line.detail, None) for line in bill_of(stack()).lines))
    diff = StackDiff(
        stack="dev", before=bill_of(stack()), after=unpriced, existed=True, exists=True,
        rows=tuple(compared(bill_of(stack()), unpriced)),
        configuration=tuple(of_configuration({"aws:region": "us-east-1"}, {"aws:region": "eu-north-1"})),
    )  # fmt: skip
    assert diff.change is None
    assert diff.configuration == (Reason("aws:region", "us-east-1", "eu-north-1"),)
    shown = as_markdown("main", "HEAD", [diff])
    assert "### Cost of `dev`: not known\n" in shown
    assert json.loads(as_json("main", "HEAD", [diff], None))["changeUsdPerMonth"] is None


def test_rows_and_totals_agree() -> None:
    diff = diff_of(stack(), stack(**{"models[3]": EXTRA, "pools[0].warm": {"slots": 1}, "network.nat": "per-zone"}))
    assert sum(changes_of(diff).values()) == pytest.approx(expected(diff), abs=0.05)
    floor = next(row for row in diff.rows if row.part == "floor")
    assert (floor.name, floor.detail) == (
        "NAT gateway",
        "1 with a public IPv4 address → 2 with a public IPv4 address",
    )
    assert floor.change == Spread.even(36.5)


def test_a_line_that_goes_is_all_saved() -> None:
    before, after = (
        Bill(lines=(Line("floor", "Door", "1", Spread(1, 2, 3)),), total=Spread(1, 2, 3)),
        Bill(total=Spread.even(0)),
    )
    assert compared(before, after) == [Row("floor", "Door", before.lines[0], None)]
    assert compared(before, after)[0].change == Spread(-1, -2, -3)
    assert total_of(after) == Spread.even(0)


# --- Why --------------------------------------------------------------------------------------------------------------


def test_versions_that_differ() -> None:
    before = "A: Final = '1'\nB = MappingProxyType({'x': {'y': 1, **A}})\nC = Chart(chart='a', version='1')\nD = 1"
    after = "A: Final = '2'\nB = MappingProxyType({'x': {'y': 2, **A}})\nC = Chart(chart='a', version='2')\nE = 1"
    assert list(of_versions(before, after)) == [
        Reason("A", "1", "2"),
        Reason("B['x']['y']", "1", "2"),
        Reason("C.version", "1", "2"),
        Reason("D", "1", None),
        Reason("E", None, "1"),
    ]
    assert list(of_versions("no ( python", "A = 1")) == [Reason("A", None, "1")]


def test_lists_without_names_differ_as_a_whole_and_order_is_a_change() -> None:
    before = {"gpu-slices:pools": '[{"name":"a","types":["x"]},{"name":"b"}]'}
    after = {"gpu-slices:pools": '[{"name":"b"},{"name":"a","types":["x","y"]}]'}
    assert list(of_configuration(before, after)) == [Reason("pools[a].types", "[x]", "[x, y]")]
    turned = {"gpu-slices:pools": '[{"name":"b"},{"name":"a","types":["x"]}]'}
    assert list(of_configuration(before, turned)) == [Reason("pools", "a, b", "b, a")]


def test_nothing_of_a_stack_file_is_markup_in_a_comment() -> None:
    diff = StackDiff(
        stack="dev",
        before=Bill(total=Spread.even(0)),
        after=Bill(total=Spread.even(0)),
        existed=True,
        exists=True,
        configuration=(Reason("tags.x", "`@team` <b>", "a|b\n# big"),),
    )
    comment = as_markdown("main", "a`b", [diff])
    assert "`tags.x`: `'@team' <b>` → `a¦b # big`" in comment
    assert "\n# big" not in comment


# --- Revisions --------------------------------------------------------------------------------------------------------


def git(directory: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *identity, *arguments], cwd=directory, check=True, capture_output=True)


def slices(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


#: A `slices` that prints the bill of a stack file: as many dollars as its `usd` says.
PROGRAM = """
import json, re, sys, time
from pathlib import Path
stack, directory = sys.argv[2], Path(sys.argv[5])
text = (directory / f"Pulumi.{stack}.yaml").read_text()
usd = float(re.search(r"usd: (.*)", text)[1])
if usd < 0:
    sys.exit(f"error: {usd} is no price") if usd > -2 else None
    print("error: no such thing", file=sys.stderr)
    sys.exit(2)
if "wait" in text:
    (Path(__file__).parent / "started").touch()
    Path(text.split("wait: ")[1].split()[0]).touch()
    time.sleep(1000)
spread = {"lowUsd": usd, "expectedUsd": usd, "highUsd": usd}
line = {"part": "floor", "name": "All", "detail": "of it", "usdPerMonth": spread}
print(json.dumps({
    "schemaVersion": SCHEMA, "prices": {"onDemandDate": "2026-07-06", "servicesDate": None},
    "costs": {"bill": {"lines": [line], "usdPerMonth": spread, "ceilingUsdPerMonth": 2 * usd}},
}))
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A repository in whose first commit `dev` costs 100 USD."""
    directory = tmp_path / "repository"
    (directory / "cli").mkdir(parents=True)
    (directory / "cli" / "__init__.py").touch()
    (directory / "cli" / "__main__.py").write_text(PROGRAM.replace("SCHEMA", "2"))
    (directory / "Pulumi.yaml").write_text("name: gpu-slices\nruntime: python\n")
    write(directory, 100)
    git(directory, "init", "-q", "-b", "main")
    git(directory, "add", ".")
    git(directory, "commit", "-q", "-m", "first")
    return directory


def write(directory: Path, usd: float, stack: str = "dev", more: str = "") -> None:
    (directory / f"Pulumi.{stack}.yaml").write_text(f"config:\n  gpu-slices:usd: {usd}\n  # usd: {usd}\n{more}")


def test_the_working_tree_against_a_revision(project: Path) -> None:
    write(project, 112.5)
    result = slices("cost", "diff", "main", "-C", project)
    assert result.exit_code == 0, result.output
    assert "dev: +12.50 USD a month" in result.stdout
    assert "usd: 100 → 112.5" in result.stdout
    assert slices("cost", "diff", "main", "--limit", "12.5", "-C", project).exit_code == 0
    above = slices("cost", "diff", "main", "--limit", "12.49", "-C", project)
    assert above.exit_code == 4
    assert "error: +12.50 USD a month, above --limit 12.49" in above.stderr


def test_two_revisions_and_all_stacks_together(project: Path) -> None:
    write(project, 90)
    write(project, 30, "extra")
    git(project, "add", ".")
    git(project, "commit", "-q", "-m", "second")
    write(project, 5000)  # not asked about
    result = slices("cost", "diff", "HEAD~1", "HEAD", "--json", "-C", project)
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert [(each["stack"], each["changeUsdPerMonth"]["expectedUsd"]) for each in found["stacks"]] == [
        ("dev", -10),
        ("extra", 30),
    ]
    assert found["changeUsdPerMonth"] == {"lowUsd": 20, "expectedUsd": 20, "highUsd": 20}
    assert found["stacks"][1]["from"] == {
        "exists": False,
        "usdPerMonth": {"lowUsd": 0, "expectedUsd": 0, "highUsd": 0},
        "ceilingUsdPerMonth": 0,
        "error": None,
    }
    backwards = slices("cost", "diff", "HEAD", "HEAD~1", "-s", "extra", "-C", project)
    assert "extra: -30.00 USD a month, no such stack any more" in backwards.stdout


def test_nothing_is_planned_where_nothing_differs(project: Path) -> None:
    (project / "cli" / "__main__.py").write_text("raise SystemExit(9)")  # it says nothing of a bill
    git(project, "commit", "-q", "-a", "-m", "broken")
    (project / "README.md").write_text("new")
    result = slices("cost", "diff", "HEAD", "-C", project)
    assert (result.exit_code, "dev: nothing changes" in result.stdout) == (0, True)


def test_versions_and_programs_of_a_revision_count(project: Path) -> None:
    """The same stack file: the program asks for more."""
    (project / "versions.py").write_text("A = '1'")
    (project / "config").mkdir()
    (project / "config" / "bill.py").write_text("A = 1")
    program = PROGRAM.replace("SCHEMA", "2").replace("usd = float(", "usd = 2 * float(")
    (project / "cli" / "__main__.py").write_text(program)
    result = slices("cost", "diff", "main", "--markdown", "-C", project)
    assert "### Cost of `dev`: +100.00 USD a month" in result.stdout
    assert "| All (floor) | of it | 100.00 | 200.00 | +100.00 |" in result.stdout
    assert "- `versions.py`: 1 change\n  - `A`: nothing → `1`" in result.stdout
    assert "  - `config/bill.py`" in result.stdout


def test_prices_that_were_asked_for_count(project: Path) -> None:
    """`slices prices refresh` writes beside the stack files, and nothing else of the program differs."""
    program = PROGRAM.replace("SCHEMA", "2").replace(
        "usd = float(", "usd = (3 if Path('prices/r.json').exists() else 1) * float("
    )
    (project / "cli" / "__main__.py").write_text(program)
    git(project, "commit", "-q", "-a", "-m", "reads prices")
    (project / "prices").mkdir()
    (project / "prices" / "r.json").write_text("{}")
    found = json.loads(slices("cost", "diff", "main", "--json", "-C", project).stdout)
    (only,) = found["stacks"]
    assert (only["changeUsdPerMonth"]["expectedUsd"], only["why"]["files"]) == (200, ["prices/r.json"])


@pytest.mark.parametrize("limit", ["nan", "inf"])
def test_a_limit_that_is_none(project: Path, limit: str) -> None:
    """Nothing is above NaN, so that every change would pass."""
    result = slices("cost", "diff", "main", "--limit", limit, "-C", project)
    assert (result.exit_code, "is no limit" in result.stderr) == (2, True)


def test_what_cannot_be_planned(project: Path) -> None:
    """After the change it is an error; before it, the change is not known, which no limit lets pass."""
    write(project, -5)
    broken = slices("cost", "diff", "main", "-C", project)
    assert broken.exit_code == 2
    assert "no plan of it at working tree: no such thing" in broken.stdout
    assert "error: no plan of dev at working tree" in broken.stderr
    git(project, "commit", "-q", "-a", "-m", "broken")
    write(project, 10)
    mended = slices("cost", "diff", "main", "-C", project)
    assert mended.exit_code == 0
    assert "dev: cannot be told" in mended.stdout
    assert slices("cost", "diff", "main", "--limit", "1", "-C", project).exit_code == 4


@pytest.mark.parametrize(
    ("revision", "said"),
    [
        ("nowhere", "no revision 'nowhere' in this repository; `git log --all --oneline` shows what there is"),
        ("--help-me", "No such option"),
        ("far", "no revision 'far' in this repository; did you mean origin/far?"),
    ],
)
def test_revisions_that_are_not_there(project: Path, revision: str, said: str) -> None:
    git(project, "update-ref", "refs/remotes/origin/far", "HEAD")
    result = slices("cost", "diff", revision, "-C", project)
    assert result.exit_code == 2
    assert said in result.stderr


def test_a_shallow_clone_says_so(project: Path, tmp_path: Path) -> None:
    git(project, "commit", "-q", "--allow-empty", "-m", "second")
    git(tmp_path, "clone", "-q", "--depth", "1", f"file://{project}", "shallow")
    result = slices("cost", "diff", "HEAD~1", "-C", tmp_path / "shallow")
    assert result.exit_code == 2
    assert "the clone is shallow: `git fetch --unshallow`" in result.stderr


def test_no_repository_no_git_no_stack(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "no stack 'dew'; did you mean dev?" in slices("cost", "diff", "main", "-s", "dew", "-C", project).stderr
    outside = tmp_path / "outside"
    shutil.copytree(project, outside, ignore=shutil.ignore_patterns(".git"))
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    assert "is in no git repository" in slices("cost", "diff", "main", "-C", outside).stderr
    monkeypatch.setenv("PATH", str(outside))
    assert "git is not on this machine's path" in slices("cost", "diff", "main", "-C", project).stderr


def test_a_project_below_the_repository_and_a_hook(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """git says a hook where it is by variables: these are not about us."""
    (project / "below").mkdir()
    for name in ("cli", "Pulumi.yaml", "Pulumi.dev.yaml"):
        git(project, "mv", name, f"below/{name}")
    git(project, "commit", "-q", "-m", "moved")
    write(project / "below", 101)
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "index"))
    result = slices("cost", "diff", "HEAD", "-C", project / "below")
    assert "dev: +1.00 USD a month" in result.stdout, result.output
    assert (
        "has no Pulumi.yaml where this project has it"
        in slices("cost", "diff", "HEAD~1", "-C", project / "below").stderr
    )


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_nothing_is_left_after_an_interruption(project: Path, tmp_path: Path, number: int, status: int) -> None:
    started, temporary = tmp_path / "started", tmp_path / "temporary"
    temporary.mkdir()
    write(project, 101, more=f"  # wait: {started}\n")
    before = sorted(path for path in (project / ".git").rglob("*"))
    # Tests in the background ignore Ctrl-C.
    code = (
        "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        f"sys.argv = ['slices', 'cost', 'diff', 'main', '-C', {str(project)!r}]\n"
        "from cli.start import main; main()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(temporary)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        until(started.exists)
        process.send_signal(number)
        _, error = process.communicate(timeout=PATIENCE)
    assert (process.returncode, error) == (status, "interrupted\n")
    assert list(temporary.iterdir()) == []
    assert sorted(path for path in (project / ".git").rglob("*")) == before
    running = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    assert f"plan dev --json -C {project}" not in running


def test_a_revision_whose_program_prints_other_plans_is_priced_by_the_program_of_here(
    project: Path,
) -> None:
    """The real planner prices a real stack file of the first commit, and the same with NAT in each of two zones."""
    real = json.dumps({f"gpu-slices:{key}": value for key, value in stack().items()} | {"aws:region": "us-east-1"})
    (project / "Pulumi.dev.yaml").write_text(f'{{"config": {real}}}')
    (project / "cli" / "__main__.py").write_text("print('{\"schemaVersion\": 1}')")
    git(project, "commit", "-q", "-a", "-m", "old")
    other = stack(**{"network.nat": "per-zone"})
    text = json.dumps({f"gpu-slices:{key}": value for key, value in other.items()} | {"aws:region": "us-east-1"})
    (project / "Pulumi.dev.yaml").write_text(f'{{"config": {text}}}')
    shutil.rmtree(project / "cli")
    shutil.copyfile(ROOT / "Pulumi.yaml", project / "Pulumi.yaml")
    with (project / "Pulumi.yaml").open("a") as file:
        file.write(f"main: {ROOT}\n")
    result = slices("cost", "diff", "main", "--json", "-C", project)
    assert result.exit_code == 0, result.output
    (found,) = json.loads(result.stdout)["stacks"]
    assert found["notes"][0] == (
        "main: its program prints plans of another format; its stack file is priced with the program and prices of here"
    )
    (nat,) = [line for line in found["lines"] if line["name"] == "NAT gateway"]
    assert nat["changeUsdPerMonth"]["expectedUsd"] == 36.5
