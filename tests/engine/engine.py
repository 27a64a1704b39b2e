"""Runs the real `pulumi` on the program, in a workspace of its own, with the stand-ins beside it.

A workspace looks like the repository (every entry is a link to it) but has its own `Pulumi.yaml` and stack files,
because the CLI writes into the latter. Nothing of the caller's own Pulumi, AWS or Kubernetes reaches it.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml

from tests.engine import journal
from tests.engine.build import EXEC, KUBERNETES_PROVIDER_VERSION
from tests.engine.eks_provider import INPUTS_VARIABLE, KUBECONFIG_VARIABLE
from tests.engine.kubernetes_proxy import TWIN_VARIABLE
from tests.engine.language_host import EXEC_VARIABLE
from tests.engine.stub_provider import REGION_VARIABLE, VALUES_VARIABLE
from twin.machine.state import TwinState

ROOT = Path(__file__).parents[2]
#: Seconds; one command takes a tenth of it on two cores.
_LONGEST = 600.0
_FOREIGN = re.compile(r"PULUMI|AWS_|KUBE|ENGINE_TEST|\w+_PROXY$", re.IGNORECASE)
#: The CLI's state of a stack is encrypted with it; there are no secrets.
_PASSPHRASE = "none"
#: Where a workspace keeps the pack's configuration, unless it is told another file.
_PACK_CONFIG = "policy/config.json"


_PYTHON = shlex.quote(sys.executable)
#: Of a stand-in that no SDK asks for by version.
_ANY_VERSION = "1.0.0"
_Plugin = tuple[str, str, str]
"""Name and version of a provider, and the command that serves it."""


@dataclass(frozen=True, kw_only=True)
class Violation:
    """What a rule found, as the engine tells it."""

    rule: str
    level: str
    urn: str
    message: str

    @property
    def resource(self) -> str:
        """Logical name; empty where the stack as a whole is at fault."""
        return "" if "::pulumi:pulumi:Stack::" in self.urn else self.urn.rpartition("::")[2]


@dataclass(frozen=True, kw_only=True)
class Done:
    """A command that has ended. events: the engine's own account of it (sdk `apitype.EngineEvent`)."""

    code: int
    out: str
    err: str
    events: Sequence[Mapping[str, Any]] = ()

    @property
    def text(self) -> str:
        """All that it printed."""
        return f"{self.out}\n{self.err}"

    @property
    def violations(self) -> list[Violation]:
        """What the pack found, mandatory or advisory, in the order in which the engine heard of it."""
        told = [event["policyEvent"] for event in self.events if "policyEvent" in event]
        # The engine puts the rule's description before what the rule said, and an end of line after it.
        return [
            Violation(
                rule=t["policyName"],
                level=t["enforcementLevel"],
                urn=t.get("resourceUrn", ""),
                message=t["message"].partition("\n")[2].removesuffix("\n"),
            )
            for t in told
        ]

    @property
    def mandatory(self) -> list[Violation]:
        """Those that stop an update."""
        return [violation for violation in self.violations if violation.level == "mandatory"]

    def steps(self, *operations: str) -> dict[str, str]:
        """Resources and what is, or would be, done with them: URN to operation, `same` left out unless asked for."""
        found = [event["resourcePreEvent"]["metadata"] for event in self.events if "resourcePreEvent" in event]
        return {m["urn"]: m["op"] for m in found if (m["op"] in operations if operations else m["op"] != "same")}


class Workspace:
    """One stack of the program with the real engine. Commands run one after the other."""

    def __init__(
        self,
        home: Path,
        programs: Path,
        stack: str,
        *,
        program: Path = ROOT,
        stubs: Iterable[str] | None = None,
        pack_config: str = _PACK_CONFIG,
    ) -> None:
        """home: an empty folder for everything. programs: from `tests.engine.build`. program: the folder to run.

        stubs: packages that the stand-in serves, in place of the providers of this repository's own program.
        pack_config: path of the pack's configuration, from the workspace's folder.
        """
        self.stack = stack
        self._pack = ("--policy-pack", "policy", "--policy-pack-config", pack_config)
        self.folder = home / "program"
        self.journal_file = home / "journal.jsonl"
        self._home = home / "pulumi"
        self._programs = programs
        self._environment = {
            **{name: text for name, text in os.environ.items() if not _FOREIGN.match(name)},
            "PATH": f"{self._home / 'bin'}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": os.pathsep.join((str(self.folder), str(ROOT))),
            "PULUMI_HOME": str(self._home),
            "PULUMI_BACKEND_URL": f"file://{home / 'state'}",
            "PULUMI_CONFIG_PASSPHRASE": _PASSPHRASE,
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "PULUMI_DEBUG_COMMANDS": "true",  # `--event-log`
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
            EXEC_VARIABLE: str(programs / EXEC),
            REGION_VARIABLE: "us-east-1",
            INPUTS_VARIABLE: "1",
            journal.VARIABLE: str(self.journal_file),
        }
        (home / "state").mkdir(parents=True)
        self._link(program)
        self._install(_own_plugins(programs) if stubs is None else [_stub(name, _ANY_VERSION) for name in stubs])
        self.run("stack", "init", stack, expect=0)

    def components_without_inputs(self) -> None:
        """From now on the EKS component is registered as pulumi-eks 4.1 to 4.3 do it."""
        self._environment[INPUTS_VARIABLE] = "0"

    def use_twin(self, state: TwinState) -> None:
        """From now on the cluster is a twin's, its releases are played there, and AWS has the twin's ids."""
        self._environment[KUBECONFIG_VARIABLE] = str(state.kubeconfig)
        user = yaml.safe_load(state.kubeconfig.read_text(encoding="utf-8"))["users"][0]["user"]
        login = {"token": user["token"]}
        credential = {"apiVersion": "client.authentication.k8s.io/v1beta1", "kind": "ExecCredential", "status": login}
        # What `aws eks get-token` prints, for kubeconfigs that ask it.
        (self._home / "token.json").write_text(json.dumps(credential), encoding="utf-8")
        self._script("bin/aws", f'[ "$1" = --version ] && echo aws-cli/2.31.0 || cat {self._home}/token.json')
        self._environment[TWIN_VARIABLE] = str(state.folder)
        self._environment[VALUES_VARIABLE] = str(state.folder / "cloud.json")

    def configure(self, values: Mapping[str, Any]) -> None:
        """Replace keys of the stack's configuration, such as `pools`; None takes one away."""
        path = self.folder / f"Pulumi.{self.stack}.yaml"
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        for key, value in values.items():
            full = key if ":" in key else f"gpu-slices:{key}"
            content["config"].pop(full, None)
            if value is not None:
                content["config"][full] = value
        path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")

    def replace_placeholders(self) -> None:
        """What the samples leave open, as a user would fill it in."""
        values: dict[str, Any] = {}
        if (cluster := self.config("cluster")) and cluster.get("publicAccessCidrs"):
            values["cluster"] = {**cluster, "publicAccessCidrs": ["52.95.110.0/24"]}
        if budget := self.config("budget"):
            values["budget"] = {**budget, "emails": ["platform@gpu-slices.dev"]}
        # The sample's own date passes one day; a justification may last for half a year.
        soon = (datetime.now(UTC).date() + timedelta(days=60)).isoformat()
        values["pools"] = [
            {**pool, "onDemand": {**pool["onDemand"], "expires": soon}} if "onDemand" in pool else pool
            for pool in self.config("pools")
        ]
        self.configure(values)

    def settle(self, text: str, other: str, path: str) -> None:
        """Change the program's own text, in this workspace only."""
        top = path.partition("/")[0]
        link = self.folder / top
        if link.is_symlink():
            target = link.resolve()
            link.unlink()
            if target.is_dir():
                shutil.copytree(target, link, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copyfile(target, link)
        file = self.folder / path
        content = file.read_text(encoding="utf-8")
        assert content.count(text) == 1, f"{path} does not hold {text!r} once"
        file.write_text(content.replace(text, other), encoding="utf-8")

    @property
    def plain_environment(self) -> Mapping[str, str]:
        """For other programs that read the workspace: nothing of the caller's, nothing of the engine's."""
        return {name: text for name, text in os.environ.items() if not _FOREIGN.match(name)}

    def config(self, key: str) -> Any:
        """A key of the stack's configuration; None where it is not there."""
        path = self.folder / f"Pulumi.{self.stack}.yaml"
        return yaml.safe_load(path.read_text(encoding="utf-8"))["config"].get(f"gpu-slices:{key}")

    def preview(self, *arguments: str, pack: bool = True, expect: int | None = None) -> Done:
        """`pulumi preview`, with the pack unless told otherwise."""
        judged = self._pack if pack else ()
        return self._update("preview", *judged, *arguments, expect=expect)

    def up(self, *arguments: str, pack: bool = True, expect: int | None = None) -> Done:
        """`pulumi up`, with the pack, as README says, unless told otherwise."""
        judged = self._pack if pack else ()
        return self._update("up", "--yes", "--skip-preview", *judged, *arguments, expect=expect)

    def destroy(self, *arguments: str, expect: int | None = None) -> Done:
        """`pulumi destroy`."""
        return self._update("destroy", "--yes", "--skip-preview", *arguments, expect=expect)

    def analyze(self, file: Path, pack_config: Path) -> Done:
        """`pulumi policy analyze` of an exported state. It writes nothing, so several may run at a time."""
        judged = ("--policy-pack", "policy", "--policy-pack-config", str(pack_config))
        done = self.run("policy", "analyze", "--file", str(file), *judged, "--json")
        return replace(done, events=[json.loads(line) for line in done.out.splitlines()])

    def _update(self, *arguments: str, expect: int | None) -> Done:
        log = self._home / "events.jsonl"
        log.unlink(missing_ok=True)
        done = self.run(*arguments, "--event-log", str(log))
        lines = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
        result = replace(done, events=[json.loads(line) for line in lines])
        _must_end_with(expect, arguments[0], result)
        return result

    def run(self, *arguments: str, expect: int | None = None) -> Done:
        """A command of the CLI. expect: the exit code that it must have."""
        command = [str(self._programs / "pulumi"), *arguments, "--non-interactive", "--color", "never"]
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=_LONGEST,
        )
        result = Done(code=done.returncode, out=done.stdout, err=done.stderr)
        _must_end_with(expect, arguments[0], result)
        return result

    def state(self) -> list[dict[str, Any]]:
        """The resources in the stack's state."""
        exported = json.loads(self.run("stack", "export", expect=0).out)
        found: list[dict[str, Any]] = exported["deployment"].get("resources") or []
        return found

    def journal(self) -> list[journal.Entry]:
        """What the providers did so far."""
        return journal.read(self.journal_file)

    def _link(self, program: Path) -> None:
        """The repository by links; the files that the CLI writes, as copies."""
        self.folder.mkdir()
        for entry in program.iterdir():
            if entry.name.startswith("Pulumi.") and entry.suffix == ".yaml":
                shutil.copyfile(entry, self.folder / entry.name)
            elif not entry.name.startswith("."):
                (self.folder / entry.name).symlink_to(entry)
        if program != ROOT:
            (self.folder / "policy").symlink_to(ROOT / "policy")  # the pack judges other people's programs as well

    def _install(self, plugins: Iterable[_Plugin]) -> None:
        """The home of the CLI: its plugins where `pulumi plugin install` would put them, and programs on its path."""
        self._script("bin/pulumi-language-python", f'exec {_PYTHON} -m tests.engine.language_host "$@"')
        self._script("bin/aws", "echo aws-cli/2.31.0")
        for name, found, command in plugins:
            self._script(f"plugins/resource-{name}-v{found}/pulumi-resource-{name}", f'exec {command} "$@"')

    def _script(self, path: str, line: str) -> None:
        script = self._home / path
        script.parent.mkdir(parents=True, exist_ok=True)
        script.write_text(f"#!/bin/sh\n{line}\n", encoding="utf-8")
        script.chmod(0o755)


def _stub(name: str, found: str) -> _Plugin:
    return name, found, f"{_PYTHON} -m tests.engine.stub_provider {found}"


def _own_plugins(programs: Path) -> Iterator[_Plugin]:
    """Providers of this repository's own program, at the versions of its SDKs."""
    assert version("pulumi-kubernetes") == KUBERNETES_PROVIDER_VERSION, "the engine's provider is not the SDK's"
    real = shlex.quote(str(programs / "pulumi-resource-kubernetes"))
    yield "kubernetes", KUBERNETES_PROVIDER_VERSION, f"{_PYTHON} -m tests.engine.kubernetes_proxy {real}"
    yield "eks", version("pulumi-eks"), f"{_PYTHON} -m tests.engine.eks_provider {version('pulumi-eks')}"
    for name in ("aws", "docker-build"):
        yield _stub(name, version(f"pulumi-{name}"))


def _must_end_with(expected: int | None, command: str, done: Done) -> None:
    assert expected in (None, done.code), f"pulumi {command} ended with {done.code}:\n{done.text[-6000:]}"
