"""The command line: exit statuses, where messages go, what `--help` costs."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from cli.main import main
from plan.export_dir import write_directory
from tests.twin.pseudoterminal import Terminal
from tests.unit.cli.projects import write_project

ROOT = Path(__file__).parents[3]


def slices(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys; sys.argv = ['slices', '--help']\n"
        "from cli.main import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "heavy = {'pulumi', 'rich', 'pydantic', 'yaml', 'grpc', 'policy', 'stacks', 'gpu'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "plan" in done.stdout


def test_every_command_is_in_a_document() -> None:
    pages = "".join(path.read_text(encoding="utf-8") for path in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")])
    names = main.list_commands(click.Context(main))
    assert len(names) > 5
    assert [name for name in names if not re.search(rf"\bslices {name}\b", pages)] == []


def test_a_command_without_its_stack_names_those_that_there_are(tmp_path: Path) -> None:
    result = slices("plan", "-C", write_project(tmp_path))
    assert (result.exit_code, "Missing argument 'STACK'. Stacks of this project: dev\n" in result.stderr) == (2, True)
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "Missing argument 'STACK'" in slices("check", "-C", empty).stderr


def without_policies(directory: Path) -> Path:
    """The same project with the pack switched off by its configuration: its resources are not what is tested."""
    (directory / "policy").mkdir()
    (directory / "policy" / "config.json").write_text('{"all": "disabled"}')
    return directory


def test_a_plan_of_any_project_shows_its_resources(tmp_path: Path) -> None:
    result = slices("plan", "dev", "-C", without_policies(write_project(tmp_path)))
    assert result.exit_code == 0, result.output
    assert "Shop shop" in result.stdout
    assert "GPU pools" not in result.stdout


def test_json_goes_to_standard_output_alone(tmp_path: Path) -> None:
    program = "import pulumi_aws as aws\nprint('chatter')\naws.sqs.Queue('q')"
    result = slices("plan", "dev", "--json", "-C", write_project(tmp_path, program))
    assert json.loads(result.stdout)["resources"][0]["name"] == "q"
    assert json.loads(result.stdout)["notes"] == ["chatter"]


@pytest.mark.parametrize(
    ("program", "stack", "name", "message"),
    [
        ("import pulumi\nraise pulumi.RunError('1 problem in it')", "config: {}", "dev", "error: 1 problem in it\n"),
        ("", "config: {}", "prod", "error: no stack 'prod'\nstacks of this project: dev\n"),
        ("", "config:\n  a: [b]]", "dev", "error: Pulumi.dev.yaml:2:9: did not find expected key"),
    ],
)
def test_what_a_person_can_mend_is_a_message_and_2(
    tmp_path: Path, program: str, stack: str, name: str, message: str
) -> None:
    result = slices("plan", name, "-C", write_project(tmp_path, program, stack=stack))
    assert result.exit_code == 2
    assert result.stderr.startswith(message)
    assert "Traceback" not in result.output
    assert result.stdout == ""


def test_what_pulumi_would_refuse_is_refused(tmp_path: Path) -> None:
    project = "{name: shop, runtime: python, config: {size: {type: integer}}}"
    result = slices("plan", "dev", "-C", write_project(tmp_path, "", stack="config: {size: big}", project=project))
    assert result.exit_code == 2
    assert "configuration key 'size' must be of type 'integer'" in result.stderr


def test_a_program_that_fails_is_1(tmp_path: Path) -> None:
    result = slices("plan", "dev", "-C", write_project(tmp_path, "raise KeyError('gone')"))
    assert result.exit_code == 1
    assert "KeyError: 'gone'" in result.stderr


@pytest.mark.parametrize("code", ["", "0", "3", "'bye'"])
def test_a_program_that_ends_the_process_is_no_plan(tmp_path: Path, code: str) -> None:
    result = slices("plan", "dev", "-C", write_project(tmp_path, f"import sys\nsys.exit({code})"))
    assert result.exit_code == 1
    assert f"the program failed\nit ended the process: sys.exit({code or None})" in result.stderr


def test_a_mandatory_violation_is_3_and_says_its_fix(tmp_path: Path) -> None:
    program = """
        import pulumi_kubernetes as k8s
        k8s.apiextensions.CustomResource("gpus", api_version="karpenter.sh/v1", kind="NodePool",
            metadata={"name": "gpus"}, spec={"template": {"spec": {"requirements": [
                {"key": "node.kubernetes.io/instance-type", "operator": "In", "values": ["g6.xlarge"]},
                {"key": "karpenter.sh/capacity-type", "operator": "In", "values": ["on-demand"]}]}}})
    """
    result = slices("plan", "dev", "-C", write_project(tmp_path, program))
    assert result.exit_code == 3
    assert "mandatory" in result.stdout
    assert "fix:" in result.stdout
    as_json = slices("plan", "dev", "--json", "-C", tmp_path)
    assert as_json.exit_code == 3
    assert json.loads(as_json.stdout)["verdicts"]


def test_the_policies_configuration_is_read(tmp_path: Path) -> None:
    directory = write_project(tmp_path, "import pulumi_aws as aws\naws.kms.Key('k', enable_key_rotation=False)")
    assert slices("plan", "dev", "-C", directory).exit_code == 3
    (tmp_path / "mild.json").write_text('{"all": "advisory"}')
    assert slices("plan", "dev", "-C", directory, "--policy-config", tmp_path / "mild.json").exit_code == 0
    (tmp_path / "wrong.json").write_text('{"no-such-rule": "advisory"}')
    result = slices("plan", "dev", "-C", directory, "--policy-config", tmp_path / "wrong.json")
    assert result.exit_code == 2
    assert "no-such-rule" in result.stderr


def test_exports_are_written_and_said(tmp_path: Path) -> None:
    directory = without_policies(write_project(tmp_path))
    result = slices("plan", "dev", "-C", directory, "--manifests", tmp_path / "m")
    assert result.exit_code == 0, result.output
    assert (tmp_path / "m" / "001-namespace-shop.yaml").is_file()
    assert f"Wrote the objects of the cluster to {tmp_path / 'm'}." in result.stdout
    again = slices("plan", "dev", "-C", directory, "--manifests", directory)
    assert again.exit_code == 2
    assert "name another directory" in again.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a device that is always full")
@pytest.mark.parametrize(("redirection", "status"), [(">&-", 0), (">/dev/full", 1)])
def test_without_a_place_for_the_output_there_is_no_traceback(tmp_path: Path, redirection: str, status: int) -> None:
    directory = without_policies(write_project(tmp_path))
    command = f"{sys.executable} -m cli plan dev -C {directory} {redirection}"
    done = subprocess.run(command, shell=True, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == status, done.stderr
    assert done.stderr == ("" if status == 0 else "error: cannot write the output: No space left on device\n")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a device that is always full")
def test_help_without_a_place_is_no_traceback() -> None:
    command = f"{sys.executable} -m cli --help >/dev/full"
    done = subprocess.run(command, shell=True, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "error: cannot write the output: No space left on device\n")


def test_what_is_said_of_a_secret_says_that_it_was_not_read(tmp_path: Path) -> None:
    program = "import pulumi\nraise pulumi.RunError('a must be a number')"
    result = slices("plan", "dev", "-C", write_project(tmp_path, program, stack="config: {a: {secure: abc}}"))
    assert result.exit_code == 2
    assert "note: shop:a is encrypted" in result.stderr


def test_lines_are_those_of_the_stack_file_wherever_the_program_is(tmp_path: Path) -> None:
    project = f"{{name: gpu-slices, runtime: python, main: {ROOT}}}"
    stack = "config:\n\n  gpu-slice:pools: []\n  aws:profile: work\n  aws:region: us-east-1\n"
    result = slices("plan", "dev", "-C", write_project(tmp_path, "", stack=stack, project=project))
    assert result.exit_code == 2
    assert "  gpu-slice:pools = []  (Pulumi.dev.yaml:3)\n    belongs to nobody here" in result.stderr
    assert "did you mean gpu-slices:pools?" in result.stderr
    assert 'aws:profile = "work"  (Pulumi.dev.yaml:4)\n    is not read' in result.stderr
    assert "gpu-slices:pools  (" not in result.stderr


def test_a_project_without_its_program_says_where_it_should_be(tmp_path: Path) -> None:
    directory = write_project(tmp_path, "", project="{name: shop, runtime: python, main: nowhere}")
    result = slices("plan", "dev", "-C", directory)
    assert result.exit_code == 2
    assert f"there is no program {directory / 'nowhere' / '__main__.py'}" in result.stderr


def test_a_directory_that_is_gone(tmp_path: Path) -> None:
    directory = write_project(tmp_path, "")
    gone = tmp_path / "gone"
    gone.mkdir()
    command = f"cd {gone} && rmdir {gone} && {Path(sys.executable).with_name('slices')} plan dev -C {directory}"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "error: the current directory is not there any more\n")


@pytest.mark.parametrize("module", ["cli.main", "click", "pydantic", "yaml", "pulumi", "stacks.build"])
def test_ctrl_c_while_modules_load_is_130_and_no_traceback(module: str) -> None:
    code = (
        "import os, signal, sys; from cli import start\n"
        "real = signal.signal\n"
        "def look(event, about):\n"
        f"    if event == 'import' and about[0] == {module!r}:\n"
        "        os.kill(os.getpid(), signal.SIGINT)\n"
        "def told(*what):\n"
        "    before = real(*what)\n"
        "    signal.signal = real\n"
        "    sys.addaudithook(look)\n"
        "    return before\n"
        "real(signal.SIGINT, signal.default_int_handler)  # tests in the background ignore it\n"
        "signal.signal = told\n"
        "sys.argv = ['slices', 'plan', 'dev']\n"
        "start.main()"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "interrupted\n")


def test_ctrl_c_where_something_is_put_in_order_is_130_and_one_line() -> None:
    code = (
        "import signal, sys; from cli import calling, interrupt\n"
        "signal.signal(signal.SIGINT, interrupt.leave)\n"
        "@calling.plainly\n"
        "def command():\n"
        "    try:\n"
        "        with calling.interruptible():\n"
        "            signal.raise_signal(signal.SIGINT)\n"
        "    finally:\n"
        "        print('in order')\n"
        "command()"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, "in order\n", "interrupted\n")


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_bar_leaves_the_cursor_and_a_word(number: int, status: int) -> None:
    code = (
        "import signal, time; from rich.console import Console; from rich.progress import Progress\n"
        "from cli import main, start\n"
        "def asking():\n"
        "    with Progress(console=Console(stderr=True), transient=True) as progress:\n"
        "        progress.add_task('asking AWS')\n"
        "        progress.refresh()\n"
        f"        signal.raise_signal({int(number)})\n"
        "main.main = asking\n"
        "start.main()"
    )
    with Terminal([sys.executable, "-c", code], {**os.environ, "TERM": "xterm"}, columns=80, lines=24) as terminal:
        assert terminal.wait() == status
        hidden, shown = terminal.output.rindex("\x1b[?25l"), terminal.output.rindex("\x1b[?25h")
        assert hidden < shown
        assert terminal.output.endswith("\r\ninterrupted\r\n")


def interrupted(code: str, number: int) -> subprocess.CompletedProcess[str]:
    """What a program says that has the signals of ours, and gets one where `code` calls `now`."""
    head = (
        "import signal, sys; from cli import interrupt\n"
        "for number in (signal.SIGINT, signal.SIGTERM): signal.signal(number, interrupt.leave)\n"
        f"def now(*_, **__): signal.raise_signal({int(number)})\n"
        "from cli.main import main\n"
    )
    return subprocess.run([sys.executable, "-c", head + code], cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_export_leaves_what_was_there(tmp_path: Path, number: int) -> None:
    write_project(tmp_path)
    target = tmp_path / "out"
    write_directory(target, {"old.yaml": "1"})
    before = sorted(tmp_path.rglob("*"))
    code = (
        "from pathlib import Path; from plan import export_dir\n"
        "write = Path.write_text\n"
        "def write_text(path, *text, **more):\n"
        "    write(path, *text, **more)\n"
        "    now()\n"
        "Path.write_text = write_text\n"
        f"main(['plan', 'dev', '-C', {str(tmp_path)!r}, '--manifests', {str(target)!r}])"
    )
    done = interrupted(code, number)
    assert (done.returncode, done.stdout, done.stderr) == (128 + number, "", "interrupted\n")
    assert [path for path in sorted(tmp_path.rglob("*")) if "__pycache__" not in path.parts] == before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_init_leaves_nothing(tmp_path: Path, number: int) -> None:
    project, scratch = tmp_path / "project", tmp_path / "scratch"
    project.mkdir()
    scratch.mkdir()
    (project / "Pulumi.yaml").write_text("name: gpu-slices\nruntime: python\n")
    code = (
        f"import tempfile; tempfile.tempdir = {str(scratch)!r}\n"
        "from cli import stack_files; stack_files.load_stack = now\n"
        f"main(['init', 'mine', '--yes', '-C', {str(project)!r}])"
    )
    done = interrupted(code, number)
    said = "interrupted: Pulumi.mine.yaml is not written\n"
    assert (done.returncode, done.stdout, done.stderr) == (128 + number, "", said)
    assert [path.name for path in (*project.iterdir(), *scratch.iterdir())] == ["Pulumi.yaml"]


def test_what_stood_before_an_export_is_back_when_its_successor_is_interrupted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target, rename = tmp_path / "out", Path.rename
    write_directory(target, {"old.yaml": "1"})

    def aside(path: Path, to: Path) -> Path:
        made = rename(path, to)
        if path == target:
            raise KeyboardInterrupt
        return made

    monkeypatch.setattr(Path, "rename", aside)
    with pytest.raises(KeyboardInterrupt):
        write_directory(target, {"new.yaml": "2"})
    assert (target / "old.yaml").read_text() == "1"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
