"""What a twin's end, a silent API server, a full disk and an interruption come to, without a twin.

`tests/twin/test_faults.py` does the same to a real one.
"""

from __future__ import annotations

import errno
import itertools
import math
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from click.testing import CliRunner

from cli.calling import interruptible, plainly
from cli.interrupt import leave
from cli.main import main
from tests.patience import PATIENCE
from tests.unit.twin.cluster import Cluster
from twin.destroy import destroy
from twin.errors import GivenUpError, TwinError
from twin.kube.apply import Applier, wait_ready
from twin.kube.client import ApiError, Kube, UnreachableError, wait_until_ready
from twin.machine import launch, pulse
from twin.machine.processes import Spec
from twin.machine.pulse import Pulse, told
from twin.machine.state import TwinState, load_run, write_text
from twin.machine.supervisor import Supervisor
from twin.plan import Model, Planned, TwinPlan
from twin.play.agent.knative import deployment_name
from twin.prices import played
from twin.request import _Story
from twin.scenarios.play import Failed, Play

pytestmark = pytest.mark.parts

GONE = "the twin of local was stopped meanwhile: `slices up local` starts it again"
DIED = "the twin of local died, its supervisor does not run any more: `slices up local` recovers it"
SILENT = "the API server of the twin of local does not answer: `slices status local` says more"
MODEL = Model(name="mistral", namespace="models", template={})


@pytest.fixture
def state(tmp_path: Path) -> Iterator[TwinState]:
    (tmp_path / "Pulumi.yaml").write_text("name: gpu-slices\nruntime: python\n")
    (tmp_path / "Pulumi.local.yaml").write_text("config: {}\n")
    state = TwinState(tmp_path / ".twin", "local")
    launch.prepare(state)
    yield state
    launch.stop(state)


@pytest.fixture
def server(state: TwinState) -> Iterator[socket.socket]:
    """Something that listens where the API server would."""
    run = load_run(state)
    assert run is not None
    with socket.create_server(("127.0.0.1", run.ports["apiserver"])) as listener:
        yield listener


@pytest.fixture
def beat(state: TwinState, server: socket.socket, monkeypatch: pytest.MonkeyPatch) -> Pulse:
    """The pulse of a twin that lives."""
    monkeypatch.setattr(pulse, "_EVERY", 0.0)
    monkeypatch.setattr(pulse, "_SILENCE", 0.3)
    monkeypatch.setattr(pulse, "supervised", lambda _: True)
    run = load_run(state)
    assert run is not None
    made = Pulse(state, run)
    made()
    return made


def remove(state: TwinState, _: socket.socket, __: pytest.MonkeyPatch) -> None:
    launch.stop(state)


def kill_supervisor(_: TwinState, __: socket.socket, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(pulse, "supervised", lambda _: False)


def end_server(_: TwinState, server: socket.socket, __: pytest.MonkeyPatch) -> None:
    server.close()


FAULTS = {remove: GONE, kill_supervisor: DIED, end_server: SILENT}


def _play(beat: Pulse) -> Play:
    nothing: Any = None
    return Play(nothing, nothing, nothing, nothing, nothing, nothing, lambda _: None, pulse=beat)


def _request(beat: Pulse) -> None:
    observed: Any = SimpleNamespace(all=lambda _: [])
    _Story(observed, MODEL, played("us-east-1"), beat).until(lambda _: False)


class NeverReady:
    """An API server on which nothing gets ready."""

    def path_of(self, _: object) -> str:
        return "/x"

    def request(self, *_: object) -> dict[str, Any]:
        return {"kind": "NodePool", "metadata": {"name": "shared"}}

    apply = request
    ready = staticmethod(lambda: False)


def _up(beat: Pulse, server: NeverReady | None = None, ready_seconds: float = 60, more: Sequence[Planned] = ()) -> None:
    kube = cast(Kube, server or NeverReady())
    manifest = {"apiVersion": "v1", "kind": "NodePool", "metadata": {"name": "shared"}}
    planned = (Planned(urn="a", name="a", after=(), manifest=manifest, ready=True), *more)
    told: Any = {"pulse": beat, "give_up": beat.give_up, "ready_seconds": ready_seconds}
    Applier(kube, {}, lambda _: None, **told).apply(planned)


WAITS: dict[str, Callable[[Pulse], object]] = {
    "up: an object that must become ready": _up,
    "up: the API server": lambda beat: wait_until_ready(cast(Kube, NeverReady()), 60, beat),
    "request: the model": _request,
    "scenario: something that must happen": lambda beat: _play(beat).wait(lambda: False, 60, "a pod"),
    "scenario: something that must stay": lambda beat: _play(beat).stays(lambda: True, 60),
}


@pytest.mark.parametrize("wait", WAITS)
@pytest.mark.parametrize("fault", FAULTS)
def test_every_wait_ends_with_the_cause(
    fault: Callable[..., None],
    wait: str,
    state: TwinState,
    server: socket.socket,
    beat: Pulse,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fault(state, server, monkeypatch)
    with pytest.raises(TwinError) as caught:
        WAITS[wait](beat)
    assert str(caught.value).startswith(FAULTS[fault])
    assert "://" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_server_that_comes_back_is_waited_for(
    state: TwinState, server: socket.socket, beat: Pulse, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = itertools.count(time.monotonic(), 0.2)  # each look at the clock is later; there are three in a beat
    monkeypatch.setattr(pulse, "time", SimpleNamespace(monotonic=lambda: next(now), sleep=time.sleep))
    monkeypatch.setattr(pulse, "_SILENCE", 1.0)
    beat.started()
    port = server.getsockname()[1]
    server.close()
    beat()

    def look(times: int) -> None:
        for _ in range(times):
            beat()

    with socket.create_server(("127.0.0.1", port)):
        look(20)
    look(1)
    with pytest.raises(TwinError, match="does not answer"):
        look(20)


def test_a_full_disk_is_the_cause_of_what_came_of_it(
    state: TwinState, beat: Pulse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pulse, "supervised", lambda _: False)
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=0))
    with pytest.raises(TwinError, match=r"does not run any more, and the disk of .*\.twin is full: `slices up local`"):
        beat()


def test_what_does_not_stay_up_is_told_with_its_last_words(
    state: TwinState, beat: Pulse, monkeypatch: pytest.MonkeyPatch
) -> None:
    processes = {"etcd": {"restarts": 5}}
    monkeypatch.setattr(pulse, "status", lambda _: {"processes": processes})
    run = load_run(state)
    assert run is not None
    starting = Pulse(state, run, starting=True)
    starting()  # that it ended before is not of this start
    (state.logs / "etcd.log").write_text("first\npanic: no space left on device\n")
    processes["etcd"]["restarts"] = 9
    with pytest.raises(TwinError, match=r"etcd of the twin does not stay up. Its last words: panic: no space left"):
        starting()


def test_an_api_server_that_is_away_for_a_moment_does_not_end_an_up() -> None:
    answers = iter([UnreachableError("nobody listens"), None])

    class Kubes(NeverReady):
        def request(self, *_: object) -> dict[str, Any]:
            if error := next(answers):
                raise error
            return {"metadata": {}, "status": {"conditions": [{"type": "Ready", "status": "True"}]}}

    wait_ready(cast(Kube, Kubes()), {}, PATIENCE)


def test_the_error_that_was_first_is_told_and_not_what_was_given_up(beat: Pulse) -> None:
    def release(thing: Planned) -> None:
        if thing.urn == "b":
            raise TwinError("the true cause")
        while True:  # Karpenter's start waits like this
            beat()
            time.sleep(0.01)

    planned = tuple(Planned(urn=urn, name=urn, after=()) for urn in "ab")
    with pytest.raises(TwinError, match="the true cause"):
        Applier(cast(Kube, None), {}, release, pulse=beat, give_up=beat.give_up).apply(planned)
    with pytest.raises(GivenUpError):
        beat()


# --- Words ------------------------------------------------------------------------------------------------------------


def test_no_address_is_in_the_words_of_a_server_that_does_not_answer(state: TwinState) -> None:
    run = load_run(state)
    assert run is not None
    kube = launch.kube_of(state, run)
    with pytest.raises(UnreachableError) as caught:
        kube.request("GET", "/api/v1/pods")
    assert str(caught.value) == "the API server does not answer (nobody listens)"
    (state.pki / "ca.crt").write_text("nonsense")
    address = ("127.0.0.1", run.ports["apiserver"])
    with socket.create_server(address), pytest.raises(UnreachableError) as caught:
        launch.kube_of(state, run).request("GET", "/api/v1/pods")
    assert str(caught.value) == "the API server does not answer (its certificate is not the one in `pki/ca.crt`)"


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (UnreachableError("nobody listens"), SILENT),
        (ApiError(409, "Conflict", "somebody else has changed it"), "somebody else has changed it"),
        (TwinError("stack local serves no model 'x'"), "stack local serves no model 'x'"),
    ],
)
def test_what_the_server_says_is_told_by_its_cause(
    error: Exception, words: str, state: TwinState, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pulse, "supervised", lambda _: True)
    with pytest.raises(TwinError) as caught, told(state):
        raise error
    assert str(caught.value).startswith(words)


FILES = ("run.json", "tokens.csv", "ca.crt", "kubeconfig", "etcd.json", "scheduler.yaml")


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_up_on_a_full_disk_says_which_file_and_what_to_do(
    name: str, number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the file, the same words, and no process that is not told."""
    (tmp_path / "Pulumi.yaml").write_text("name: gpu-slices\nruntime: python\n")
    (tmp_path / "Pulumi.local.yaml").write_text("config: {}\n")
    replace = Path.replace

    def full(path: Path, target: Path) -> Path:
        if Path(target).name == name:
            raise OSError(number, os.strerror(number))
        return replace(path, target)

    monkeypatch.setattr("twin.machine.build.ensure_built", lambda _: Path("/nowhere"))
    monkeypatch.setattr("twin.planning.make_plan", lambda *_: pytest.fail("it went on"))
    monkeypatch.setattr(Path, "replace", full)
    state = TwinState(tmp_path / ".twin", "local")
    try:
        result = CliRunner().invoke(main, ["up", "-C", str(tmp_path)])
        assert result.exit_code == 1
        (line,) = result.output.splitlines()
        assert f"{name} cannot be written, the disk is full: make room, then `slices up local` goes on" in line
    finally:
        monkeypatch.undo()
        launch.stop(state)


def test_a_supervisor_outlives_a_full_disk_and_a_lost_program(
    state: TwinState, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = Spec(name="lost", program="/nowhere/lost", arguments=())
    supervisor = Supervisor(state)
    supervisor._adopt({"lost": spec})
    supervisor._start()
    assert supervisor._children["lost"].restarts == 1
    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", lambda *_: (_ for _ in ()).throw(OSError(errno.ENOSPC, "full")))
        supervisor._publish()
        assert not state.status.exists()
    supervisor._publish()
    assert state.status.exists(), "said as soon as there is room"


# --- Interruptions ----------------------------------------------------------------------------------------------------


@pytest.fixture
def program() -> Iterator[None]:
    """Signals end the process, as in the program."""
    before = {number: signal.signal(number, leave) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    now = {number: signal.signal(number, handler) for number, handler in before.items()}
    assert set(now.values()) == {leave}, "they do so again"


@pytest.mark.usefixtures("program")
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interruption_says_what_is_left(number: int, status: int, capsys: pytest.CaptureFixture[str]) -> None:
    def command() -> int:
        with interruptible(lambda: "what stands is left, `slices down local` ends it"):
            os.kill(os.getpid(), number)
            time.sleep(PATIENCE)
        return 0

    with pytest.raises(SystemExit) as ended:
        plainly(command)()
    assert ended.value.code == status
    assert capsys.readouterr().err == "interrupted: what stands is left, `slices down local` ends it\n"


@pytest.mark.usefixtures("program")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_what_is_removed_after_an_interruption_is_removed_whatever_follows(
    number: int, capsys: pytest.CaptureFixture[str]
) -> None:
    removed: list[str] = []

    def rest() -> str:
        signal.raise_signal(number)
        removed.append("the files")
        return "nothing is left"

    def command() -> int:
        with interruptible(rest):
            signal.raise_signal(signal.SIGINT)
        return 0

    with pytest.raises(SystemExit):
        plainly(command)()
    assert (removed, capsys.readouterr().err) == (["the files"], "interrupted: nothing is left\n")


@pytest.mark.usefixtures("program")
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interruption_that_python_ignores_comes_again(
    number: int, status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """What a handler raises in the callback of a weak reference, Python prints and forgets."""

    def command() -> int:
        with interruptible():
            held = threading.Event()
            told = weakref.ref(held, lambda _: signal.raise_signal(number))
            del held
            assert told() is None, "the callback ran, and we are still here"
            time.sleep(PATIENCE)
        return 0

    before = sys.unraisablehook
    with pytest.raises(SystemExit) as ended:
        plainly(command)()
    assert (ended.value.code, sys.unraisablehook) == (status, before)
    assert capsys.readouterr().err == "interrupted\n"


def test_up_interrupted_before_anything_stands_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "Pulumi.yaml").write_text("name: gpu-slices\nruntime: python\n")
    (tmp_path / "Pulumi.local.yaml").write_text("config: {}\n")

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("twin.machine.build.ensure_built", lambda _: Path("/nowhere"))
    monkeypatch.setattr("twin.up.start", interrupted)
    result = CliRunner().invoke(main, ["up", "-C", str(tmp_path)])
    assert (result.exit_code, result.output) == (130, "interrupted: nothing is left\n")
    assert not (tmp_path / ".twin").exists()


@pytest.mark.parametrize("command", ["down", "scenario pack"])
def test_an_interrupted_removal_says_what_removes_the_rest(
    command: str, state: TwinState, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("twin.machine.launch.stop", interrupted)
        patched.setattr("twin.scenarios.run.stop", interrupted)
        patched.setattr("twin.scenarios.run.bring_up", interrupted)
        result = CliRunner().invoke(main, [*command.split(), "-C", str(state.root.parent)])
    assert result.exit_code == 130
    assert result.output.splitlines()[-1].startswith("interrupted: ")
    assert "slices down local" in result.output
    assert "removes what is left" in result.output


def test_a_file_that_is_interrupted_leaves_no_half(state: TwinState, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    before = sorted(state.folder.iterdir())
    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", interrupted)
        with pytest.raises(KeyboardInterrupt):
            write_text(state.folder / "scheduler.yaml", "text")
    assert sorted(state.folder.iterdir()) == before


@pytest.mark.timeout(PATIENCE)  # it would wait for ever
def test_an_interrupted_apply_does_not_wait_for_what_is_not_ready(beat: Pulse) -> None:
    looks = itertools.count(1)

    class Interrupting(NeverReady):
        def request(self, *_: object) -> dict[str, Any]:
            if next(looks) == 1:
                os.kill(os.getpid(), signal.SIGINT)
            return super().request()

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            _up(beat, Interrupting(), math.inf)
    finally:
        signal.signal(signal.SIGINT, before)
    with pytest.raises(GivenUpError):
        beat()


@pytest.mark.timeout(PATIENCE)  # it would wait for ever
def test_an_apply_that_is_interrupted_while_it_begins_does_not_wait_either(beat: Pulse) -> None:
    class Interrupting:
        @property
        def after(self) -> None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        _up(beat, None, math.inf, [cast(Planned, Interrupting())])


@pytest.mark.timeout(PATIENCE)  # it would wait for ever
def test_a_destruction_that_is_interrupted_does_not_wait_for_what_is_held(
    state: TwinState, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("twin.destroy._PATIENCE", math.inf)
    deleted = threading.Event()

    class Held:
        """Whatever is deleted stays, held by a finalizer."""

        def path_of(self, _: object) -> str:
            return "/"

        def request(self, *_: object) -> None:
            deleted.set()

        def get(self, *_: object) -> dict[str, Any]:
            return {"metadata": {"finalizers": ["somebody's"]}}

    manifest = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "a"}}
    plan = SimpleNamespace(planned=(Planned(urn="a", name="a", after=(), manifest=manifest),))

    def interrupt() -> None:
        deleted.wait(PATIENCE)
        os.kill(os.getpid(), signal.SIGINT)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    threading.Thread(target=interrupt).start()
    try:
        with pytest.raises(KeyboardInterrupt):
            destroy(state, cast(TwinPlan, plan), cast(Kube, Held()), lambda _: None)
    finally:
        signal.signal(signal.SIGINT, before)


# --- A clock that is off ----------------------------------------------------------------------------------------------


def test_a_request_takes_as_long_as_it_says_whatever_the_clock_says(monkeypatch: pytest.MonkeyPatch) -> None:
    from twin import request  # noqa: PLC0415

    asked: list[float] = []
    monkeypatch.setattr(request, "ask", lambda _kube, _model, until: asked.append(until))
    monkeypatch.setattr(request, "_ready", lambda *_: True)
    clock = iter(range(10**9, 0, -(10**6)))  # each look is days earlier than the one before
    now = [0.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds

    monkeypatch.setattr(request, "time", SimpleNamespace(
        time=lambda: float(next(clock)), monotonic=lambda: now[0], sleep=sleep))  # fmt: skip
    story = _Story(cast(Any, SimpleNamespace(all=lambda _: [])), MODEL, played("us-east-1"))
    assert request._answered(story, cast(Any, None), cast(Any, SimpleNamespace(stack="local")), MODEL, 30)
    assert 30 <= now[0] < 32
    assert len(asked) >= 3


def test_a_request_says_what_of_the_plans_cold_start_is_not_played(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from twin import request  # noqa: PLC0415

    monkeypatch.setattr(request, "ask", lambda *_: None)
    monkeypatch.setattr(request, "_ready", lambda *_: True)
    model = Model(name="m", namespace="models", template={}, not_played={"image": 28.0, "weights": 44.4})
    story = _Story(cast(Any, SimpleNamespace(all=lambda _: [])), model, played("us-east-1"))
    request._answered(story, cast(Any, None), cast(Any, SimpleNamespace(stack="dev")), model, 0)
    said = "not played: image 28 s, weights 44 s; for these `slices plan dev` adds 72 s to a first start"
    assert said in capsys.readouterr().out


# --- Who is in the way of a scenario ----------------------------------------------------------------------------------


def test_a_scenario_puts_models_to_sleep_and_names_who_is_in_the_way(monkeypatch: pytest.MonkeyPatch) -> None:
    from twin.scenarios import play as playing  # noqa: PLC0415

    made = Cluster()
    made.pool("mps", "mps")
    node = made.node("mps-a")
    made.pod("mistral-0", node, "mistral")
    made.pod("theirs-0", node, namespace="team")
    deployment = {"metadata": {"name": deployment_name(MODEL), "namespace": "models"}, "spec": {"replicas": 1}}
    made.objects["Deployment"] = [deployment]
    slept: list[str] = []
    said: list[str] = []

    def put_to_sleep(_: object, model: Model) -> None:
        slept.append(model.name)
        made.objects["Pod"] = [pod for pod in made.objects["Pod"] if pod["metadata"]["name"] != "mistral-0"]

    monkeypatch.setattr(playing, "put_to_sleep", put_to_sleep)
    seconds = map(float, itertools.count())
    clock = SimpleNamespace(monotonic=lambda: next(seconds), sleep=lambda _: None)
    monkeypatch.setattr(playing, "time", clock)
    play: Any = Play(
        state=cast(Any, SimpleNamespace(stack="local")),
        run=cast(Any, None),
        plan=cast(Any, SimpleNamespace(manifests=lambda _: [], gpu_pools=(), models=(MODEL,), region="us-east-1")),
        kube=cast(Any, SimpleNamespace(delete=lambda *_: True, list=lambda *_: [])),
        observed=cast(Any, SimpleNamespace(all=lambda kind: made.objects[kind], follows=lambda _: True)),
        faults=cast(Any, SimpleNamespace(stale=False, clear=lambda: None)),
        tell=said.append,
    )
    with pytest.raises(Failed, match=r"these pods keep their slots: team/theirs-0\. Delete them, or .*`slices down"):
        playing.clean(play)
    assert slept == ["mistral"]
    assert said == ["putting to sleep: mistral"]


# --- Two set-ups at once ----------------------------------------------------------------------------------------------


def test_two_setups_take_turns_and_the_second_has_nothing_to_do(tmp_path: Path) -> None:
    import fcntl  # noqa: PLC0415

    root = Path(__file__).parents[3]
    makefile = (root / "Makefile").read_text()
    made_from = makefile.split("\n$(STAMP): requirements.txt ")[1].split("\n")[0].split()
    script = tmp_path / "tools" / "bootstrap.sh"
    text = (root / "tools" / "bootstrap.sh").read_text()
    assert set(re.findall(r"\.stamp -nt (\S+)", text)) == {"requirements.txt", *made_from}
    for name in ("requirements.txt", *made_from):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("nothing that could be installed")
        os.utime(tmp_path / name, (0, 0))  # older than what is made from it
    script.write_text(text)
    os.utime(script, (0, 0))
    with (tmp_path / ".venv.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        environment = {**os.environ, "PYTHON": sys.executable}
        environment.pop("SETUP_LOCKED", None)
        second = subprocess.Popen(
            ["bash", str(script)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
        )
        assert second.stdout is not None
        assert second.stdout.readline() == (
            "Another `make` sets .venv up, which takes half a minute; this one waits for it.\n"
        )
        assert second.poll() is None
        (tmp_path / ".venv").mkdir()
        (tmp_path / ".venv" / ".stamp").write_text(f"{tmp_path}\n")
    rest, _ = second.communicate(timeout=PATIENCE)
    assert (second.returncode, rest) == (0, "")
