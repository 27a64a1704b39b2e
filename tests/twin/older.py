"""The twin's programs with an older Karpenter among them, for a cluster whose owner has not raised it yet."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

from twin.machine.build import KARPENTER_MODULE, module_versions
from twin.machine.go import ROOT, GoModule

_TOOLS = Path(__file__).parent / "tools"
_CHARTS = ("karpenter", "karpenter-crd")


def with_older_karpenter(programs: Path, minor: str) -> tuple[Path, str]:
    """A folder of the twin's programs in which Karpenter and its charts are those of `tools/karpenter-MINOR`; and its
    version, without `v`. Builds it where it is not there: seven minutes of processor time.

    programs: those of the twin. Raises TwinError with Go's own words.
    """
    module = GoModule(_TOOLS / f"karpenter-{minor}")
    pinned = hashlib.sha256(module.pins + programs.name.encode()).hexdigest()[:16]
    folder = ROOT / ".cache" / "twin" / f"karpenter-{minor}-{pinned}"
    (folder / "charts").mkdir(parents=True, exist_ok=True)
    if not (folder / "karpenter").exists():
        made = folder / "karpenter.part"
        module.build(f"{KARPENTER_MODULE}/kwok", made, {})
        made.replace(folder / "karpenter")
    found = json.loads(module.run("list", "-m", "-json", KARPENTER_MODULE))
    version = str(found["Version"]).removeprefix("v")
    for chart in _CHARTS:
        shutil.rmtree(folder / "charts" / chart, ignore_errors=True)
        # Go keeps its module cache read-only.
        shutil.copytree(Path(found["Dir"]) / "charts" / chart, folder / "charts" / chart, copy_function=shutil.copyfile)
        for path in (folder / "charts" / chart, *(folder / "charts" / chart).rglob("*")):
            path.chmod(0o755 if path.is_dir() else 0o644)
    for program in programs.iterdir():
        if program.name not in ("karpenter", "charts", "versions.json"):
            (folder / program.name).unlink(missing_ok=True)
            (folder / program.name).symlink_to(program.resolve())
    versions = {**module_versions(programs), KARPENTER_MODULE: version}
    (folder / "versions.json").write_text(json.dumps(versions), encoding="utf-8")
    return folder, version
