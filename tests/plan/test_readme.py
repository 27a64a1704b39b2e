"""The README's samples are what people really see. `python -m tests.plan.test_readme` writes them anew."""

import contextlib
import re
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from click.testing import CliRunner

from cli.main import main
from tests.plan.conftest import ROOT

README = ROOT / "README.md"
_SAMPLE = re.compile(r"(<!-- begin sample: (?P<name>[a-z ]+) -->\n)(?P<body>.*?)(<!-- end sample -->)", re.DOTALL)

#: The plan's sections that the README shows: from the first heading up to the second.
_PLAN_FROM, _PLAN_TO = "GPU pools", "Policies"


#: A second pool, of GPUs that have no MIG.
_MIG = """\
    - name: mig
      instanceFamilies: [g6]
      maxGpus: 1
      sharing: {strategy: mig, profile: 1g.10gb}
"""


def _slices(*arguments: str) -> str:
    result = CliRunner().invoke(main, list(arguments), env={"COLUMNS": "80", "NO_COLOR": "1"})
    return result.output


def _stack_file() -> str:
    return f"```yaml\n{(ROOT / 'Pulumi.dev.yaml').read_text()}```\n"


def _plan() -> str:
    with contextlib.chdir(ROOT):  # commands that it prints name no directory then
        output = _slices("plan", "dev")
    start, end = output.index(f"\n{_PLAN_FROM}\n") + 1, output.index(f"\n{_PLAN_TO}\n")
    return f"```text\n{_stripped(output[start:end])}\n```\n"


def _errors(directory: Path) -> str:
    text = (ROOT / "Pulumi.dev.yaml").read_text()
    for right, wrong in (
        ("maxGpus: 2", "maxGpu: 2"),
        ("replicas: 3\n", f"replicas: 4\n{_MIG}"),
    ):
        assert text.count(right) == 1
        text = text.replace(right, wrong)
    (directory / "Pulumi.dev.yaml").write_text(text)
    for name in ("Pulumi.yaml", "__main__.py"):
        (directory / name).write_text((ROOT / name).read_text())
    return f"```text\n$ slices plan dev\n{_stripped(_slices('plan', 'dev', '--cwd', str(directory)))}\n```\n"


def _stripped(text: str) -> str:
    return "\n".join(line.rstrip() for line in text.strip("\n").splitlines())


def _samples(directory: Path) -> Mapping[str, Callable[[], str]]:
    return {"stack file": _stack_file, "plan": _plan, "errors": lambda: _errors(directory)}


@pytest.mark.parametrize("name", ["stack file", "plan", "errors"])
def test_samples_are_what_people_see(name: str, tmp_path: Path) -> None:
    shown = {match["name"]: match["body"] for match in _SAMPLE.finditer(README.read_text())}
    assert shown[name] == _samples(tmp_path)[name]()


def test_every_link_to_a_file_leads_somewhere() -> None:
    for document in [README, *sorted((ROOT / "docs").glob("*.md")), ROOT / "CONTRIBUTING.md"]:
        for target in re.findall(r"\]\(([^)#]+)[^)]*\)", document.read_text()):
            if not target.startswith(("http:", "https:")):
                assert (document.parent / target).exists(), f"{document.name}: {target}"


if __name__ == "__main__":
    import tempfile

    with tempfile.TemporaryDirectory() as scratch:
        samples = _samples(Path(scratch))
        text = _SAMPLE.sub(lambda m: m[1] + samples[m["name"]]() + m[4], README.read_text())
    README.write_text(text)
