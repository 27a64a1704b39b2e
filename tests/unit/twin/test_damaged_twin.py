"""A twin whose files are damaged, or whose caller's environment is hostile."""

from __future__ import annotations

import csv
import fcntl
import json
import os
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import yaml
from click.testing import CliRunner

from cli.main import main
from twin.aws.account import client
from twin.errors import TwinError
from twin.machine import launch, parts
from twin.machine.processes import Spec, find, read_specs, write_spec
from twin.machine.state import DamagedError, TwinState, load_run, read_json, write_json, write_text
from twin.plan import CloudResource, Model, Planned, TwinPlan, save_plan
from twin.play.agent.meter import read_meter
from twin.play.device_plugin import InstalledPlugin
from twin.play.faults import Faults
from twin.scenarios import run as scenarios
from twin.scenarios.play import clean

DAMAGED = ("", "{", "[1]", "\x00\x01", '"text"')


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "Pulumi.yaml").write_text("name: gpu-slices\nruntime: python\n")
    (tmp_path / "Pulumi.local.yaml").write_text("config: {}\n")
    return tmp_path


@pytest.fixture
def state(project: Path) -> Iterator[TwinState]:
    state = TwinState(project / ".twin", "local")
    state.make()
    yield state
    launch.stop(state)


def slices(project: Path, *arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(main, [*arguments, "-C", str(project)])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.output


@pytest.mark.parametrize("content", DAMAGED)
@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("run.json", "status"),
        ("run.json", "watch"),
        ("run.json", "up"),
        ("plan.json", "up"),
        ("plan.json", "request m"),
    ],
)
def test_a_damaged_file_is_named_with_what_to_do(name: str, command: str, content: str, state: TwinState) -> None:
    (state.folder / name).write_text(content)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("twin.machine.build.ensure_built", lambda _: Path("nowhere"))
        status, output = slices(state.root.parent, *command.split())
    assert status == 1
    assert f"{name} is damaged: `slices down local` removes it, then `slices up local` starts anew" in output


def nodes(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Paths of all nodes of a document."""
    yield path
    for key, item in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from nodes(item, (*path, key))


def replaced(value: Any, path: tuple[Any, ...], node: Any) -> Any:
    """The same document with another node in that place."""
    if not path:
        return node
    copy = value.copy()
    copy[path[0]] = replaced(value[path[0]], path[1:], node)
    return copy


#: No process has this id.
NOBODY = 2**30
MODEL = Model(name="m", namespace="models", template={"spec": {"containers": []}}, slot="nvidia.com/gpu")
MANIFEST = {"kind": "NodePool", "metadata": {"name": "a"}, "spec": {"template": {"spec": {"taints": []}}}}
PLAN = TwinPlan(
    stack="local",
    region="us-east-1",
    cluster="c",
    kubernetes="1.36",
    cloud=(CloudResource(urn="u", type="aws:x", name="x", inputs={"a": [1]}),),
    outputs={"placeholder": ("u", "id")},
    planned=(Planned(urn="p", name="NodePool a", after=("u",), manifest=MANIFEST, ready=True),),
    plugins=(InstalledPlugin(configs={"a": "version: v1"}),),
    models=(MODEL,),
)


def write_all(state: TwinState) -> dict[str, Path]:
    """Every file of JSON that a twin has, as its own code writes it."""
    launch.prepare(state)
    write_text(state.finished, "digest")
    save_plan(state, PLAN)
    write_spec(state, Spec(name="etcd", program="/nowhere", arguments=["--x"], environment={"A": "b"}, needs=[1]))
    write_json(
        state.status, {"supervisor": NOBODY, "processes": {"etcd": {"pid": NOBODY, "restarts": 0, "lastExit": None}}}
    )
    write_json(state.folder / "cloud.json", {"plan": "x", "values": {"a": "b"}})
    write_json(state.folder / "meter.json", {"usd": 1.5, "gpuUsd": 1.0})
    faults = Faults(state.folder)
    faults.withdraw([("g6.*", "*")])
    faults.set_plugin(seconds=3, never=["a"])
    return {path.name: path for path in [*state.folder.glob("*.json"), *state.specs.glob("*.json")]}


@pytest.mark.parametrize("name", ["run", "plan", "status", "cloud", "meter", "faults", "etcd"])
def test_whatever_node_of_a_file_is_replaced_it_is_known_as_damaged(name: str, state: TwinState) -> None:
    path = write_all(state)[f"{name}.json"]
    whole = json.loads(path.read_text())
    read_json(path)
    spoilt = 0
    others: tuple[Any, ...] = (None, [], 7)
    for place in nodes(whole):
        for node in others:
            if replaced(whole, place, node) == whole:
                continue
            path.write_text(json.dumps(replaced(whole, place, node)))
            with pytest.raises(DamagedError, match=f"{name}.json is damaged: `slices down"):
                read_json(path)
            spoilt += 1
    assert spoilt > 9
    text = json.dumps(whole)
    for broken in (b"", text[: len(text) // 2].encode(), b"\x00\xff" * 40, b"[" * 100_000):
        path.write_bytes(broken)
        with pytest.raises(DamagedError):
            read_json(path)
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(DamagedError):
        read_json(path)


COMMANDS = ("status", "status --json", "watch", "watch --svg -", "request m", "scenario pack", "up", "down")


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("node", [None, [], 7])
def test_a_damaged_twin_is_words_for_every_command(
    command: str, node: object, state: TwinState, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each file in turn, with the first value in it replaced, while a supervisor runs."""
    monkeypatch.setattr("twin.machine.build.ensure_built", lambda _: Path("nowhere"))
    monkeypatch.setattr("twin.planning.make_plan", lambda *_: (_ for _ in ()).throw(TwinError("no plan here")))
    monkeypatch.setattr(launch, "_ANSWER", 0.0)
    for name in ("run", "plan", "status", "cloud", "meter", "faults", "etcd"):
        launch.stop(state)
        path = write_all(state)[f"{name}.json"]
        whole = json.loads(path.read_text())
        with state.supervisor_lock.open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            path.write_text(json.dumps(replaced(whole, (next(iter(whole)),), node)))
            status, output = slices(state.root.parent, *command.split())
        assert "Traceback" not in output
        assert output.strip()
        if command == "down":
            assert (status, state.exists) == (0, False)
        elif name == "run" or (name, command) == ("plan", "up"):
            assert status == 1
            assert f"{name}.json is damaged: `slices down local` removes it, then `slices up local`" in output


@pytest.mark.parametrize("content", DAMAGED)
def test_down_works_on_damaged_files(content: str, state: TwinState) -> None:
    other = TwinState(state.root, "other")
    other.make()
    launch.prepare(other)
    for twin in (state, other):
        for name in ("run.json", "plan.json", "status.json", "faults.json", "processes/etcd.json"):
            (twin.folder / name).write_text(content)
    assert slices(state.root.parent, "down")[0] == 0
    assert not state.exists
    assert other.exists
    assert slices(state.root.parent, "down", "other")[0] == 0
    assert not state.root.exists()


def test_another_twin_without_keys_does_not_keep_this_one_from_starting(state: TwinState) -> None:
    other = TwinState(state.root, "other")
    launch.prepare(other)
    (other.pki / "ca.crt").unlink()
    launch.prepare(state)
    assert "twin-local" in (state.root / "kubeconfig").read_text()


@pytest.mark.parametrize("content", DAMAGED)
def test_damaged_notes_of_the_twins_own_parts_are_passed_over(content: str, state: TwinState) -> None:
    for name in ("meter.json", "processes/etcd.json"):
        (state.folder / name).write_text(content)
    assert read_meter(state.folder) == (0.0, 0.0)
    assert read_specs(state) == {}


def test_a_dead_supervisors_damaged_status_does_not_keep_a_new_one_from_starting(state: TwinState) -> None:
    state.status.write_text("{")
    launch.start(state)
    assert launch.supervised(state)


def test_what_cannot_be_written_is_named_and_leaves_nothing(tmp_path: Path) -> None:
    target = tmp_path / "run.json"
    target.mkdir()
    (target / "in the way").touch()
    with pytest.raises(OSError, match=r"run\.json"):
        write_text(target, "{}")
    assert [path.name for path in tmp_path.iterdir()] == ["run.json"]


def test_what_cannot_be_removed_is_said(state: TwinState, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("twin.machine.state.shutil.rmtree", lambda *_, **__: None)
        with pytest.raises(TwinError, match="cannot be removed"):
            launch.stop(state)


def test_a_path_with_quotes_is_one_path(tmp_path: Path) -> None:
    state = TwinState(tmp_path / 'it\'s {a}, "b" #c' / ".twin", "local")
    state.root.parent.mkdir()
    run = launch.prepare(state)
    parts.control_plane(state, run, Path("programs"))
    written = yaml.safe_load((state.folder / "scheduler.yaml").read_text())
    assert written["clientConnection"]["kubeconfig"] == str(state.kubeconfig)
    (config,) = (text for text in parts.kwok(state, run, Path("programs")).arguments if text.startswith("--config="))
    assert list(csv.reader([config.removeprefix("--config=")])) == [[str(state.folder / "stages.yaml")]]


def test_a_path_with_a_colon_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    project = tmp_path / "a:b"
    project.mkdir()
    with pytest.raises(TwinError, match=r"a:b has a ':' in its path"), TwinState(project / ".twin", "local").lock():
        pass
    assert not list(project.iterdir())


def test_the_callers_accounts_and_proxies_do_not_reach_the_twins_processes(
    state: TwinState, monkeypatch: pytest.MonkeyPatch
) -> None:
    """AWS_IGNORE_CONFIGURED_ENDPOINT_URLS, or an endpoint of one service, would lead Karpenter out of the twin."""
    foreign = ("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "AWS_ENDPOINT_URL_SQS", "AWS_PROFILE", "KUBECONFIG", "ETCD_NAME")
    for name in (*foreign, "https_proxy", "HTTP_PROXY"):
        monkeypatch.setenv(name, "nonsense")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/somebody/else")
    launch.start(state)
    (supervisor,) = find(state)
    found = Path(f"/proc/{supervisor}/environ")
    if not found.exists():
        pytest.skip("this system does not tell a process's environment")
    given = dict(entry.partition("=")[::2] for entry in found.read_text().split("\x00"))
    assert not given.keys() & {*foreign, "https_proxy", "HTTP_PROXY"}
    assert given["AWS_CONFIG_FILE"] == os.devnull
    assert given["PATH"] == os.environ["PATH"]


def test_a_client_of_the_twins_aws_looks_at_nothing_of_the_callers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    monkeypatch.setenv("AWS_CONFIG_FILE", __file__)
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_USE_FIPS_ENDPOINT", "true")
    made = client("sqs", "http://127.0.0.1:2", "us-east-1")
    with pytest.raises(Exception, match=r"http://127\.0\.0\.1:2"):
        made.list_queues()
    assert made.meta.config.proxies == {}


# --- Scenarios --------------------------------------------------------------------------------------------------------


def test_a_scenario_leaves_a_twin_alone_that_another_command_is_starting(
    state: TwinState, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scenarios, "bring_up", lambda *_: pytest.fail("a twin was started"))
    launch.prepare(state)
    with state.lock():
        status, output = slices(state.root.parent, "scenario", "pack")
    assert (status, "busy" in output) == (1, True)
    assert load_run(state) is not None


@pytest.mark.parametrize(("end", "back"), [(KeyboardInterrupt, []), (TwinError, ["local"])])
def test_a_spoilt_twin_is_brought_back_unless_somebody_interrupts(
    end: type[BaseException], back: list[str], state: TwinState, monkeypatch: pytest.MonkeyPatch
) -> None:
    brought: list[str] = []

    def interrupted(*_: object) -> None:
        raise end

    monkeypatch.setattr(scenarios, "supervised", lambda _: True)
    monkeypatch.setattr(scenarios, "run_scenario", interrupted)
    monkeypatch.setattr(scenarios, "bring_up", lambda twin, _: brought.append(twin.stack))
    write_text(state.finished, "digest")
    with pytest.raises(end):
        scenarios.play("drain-and-destroy", state, state.root, pods=None, keep=False, as_json=True)
    assert brought == back
    assert not state.finished.exists()


@pytest.mark.parametrize("withdrawn", ["all", "spot", "taken back", ""])
def test_karpenter_hears_that_offerings_are_back(withdrawn: str, state: TwinState) -> None:
    """It would go on without them for twelve hours, in a twin that somebody else goes on to use."""
    faults, done = Faults(state.folder), list[str]()
    match withdrawn:
        case "all":
            faults.withdraw([("g6.*", "*")])
        case "spot":
            faults.withdraw_spot([("g6.*", "*")])
        case "taken back":
            faults.take_back()

    def restart() -> None:
        assert not faults.stale
        done.append("restart")

    play = SimpleNamespace(
        faults=faults,
        kube=SimpleNamespace(list=lambda *_: []),
        observed=SimpleNamespace(all=lambda _: []),
        plan=SimpleNamespace(manifests=lambda _: [], gpu_pools=(), models=()),
        view=SimpleNamespace(gpu_nodes=[], nodes=[], pending=[]),
        wait=lambda *_: 0.0,
        restart_karpenter=restart,
    )
    clean(cast(Any, play))
    assert done == ["restart"] * bool(withdrawn)
