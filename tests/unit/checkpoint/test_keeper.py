"""Checkpoints in a folder: what is kept and when, what is skipped, who may write, how a process ends."""

from __future__ import annotations

import itertools
import json
import os
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from checkpoint import Checkpoints, StoreError, keeper
from checkpoint.example import begin, digest, read, work, write
from checkpoint.store import FolderStore, open_store


class Clock:
    """The clock of the keeper, which tests move."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def time(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(keeper, "time", clock)
    return clock


@pytest.fixture
def said() -> list[str]:
    return []


class Run:
    """Processes of a run, one after the other or side by side, in a folder."""

    def __init__(self, folder: Path, said: list[str]) -> None:
        self.folder, self.said = folder, said

    def process(self, **values: float) -> Checkpoints:
        whole = {"interval_seconds": 100.0, "grace_seconds": 10.0, **values}
        return Checkpoints(str(self.folder), say=self.said.append, **whole)  # type: ignore[arg-type]

    @property
    def checkpoints(self) -> list[str]:
        return sorted(path.parent.name for path in self.folder.glob("checkpoints/*/manifest.json"))


@pytest.fixture
def run(tmp_path: Path, said: list[str]) -> Iterator[Run]:
    before = signal.getsignal(signal.SIGTERM)
    yield Run(tmp_path / "run", said)
    assert signal.getsignal(signal.SIGTERM) is before, "whoever handled SIGTERM before does so again"


def text(content: str) -> Callable[[Path], None]:
    def put(folder: Path) -> None:
        (folder / "state.txt").write_text(content, encoding="utf-8")

    return put


def state(folder: Path) -> str:
    return (folder / "state.txt").read_text(encoding="utf-8")


def test_the_first_step_is_kept_and_then_what_the_bound_asks_for(run: Run, clock: Clock) -> None:
    with run.process() as checkpoints:
        assert checkpoints.resume(state) is None
        kept: list[tuple[int, str]] = []
        for step in range(1, 31):
            clock.now += 10
            before = len(list(run.folder.glob("checkpoints/*")))
            checkpoints.reached(step, text(str(step)))
            if run.checkpoints and (before == 0 or run.checkpoints[-1] != kept[-1][1]):
                kept.append((step, run.checkpoints[-1]))
        # A step takes 10 s: after 9 more a tenth would lose more than 100.
        assert [step for step, _ in kept] == [1, 10, 19, 28]


def test_what_a_save_takes_is_reckoned_in(run: Run, clock: Clock) -> None:
    def slow(folder: Path) -> None:
        clock.now += 30
        text("x")(folder)

    with run.process() as checkpoints:
        saves = []
        for step in range(1, 25):
            clock.now += 10
            at = clock.now
            checkpoints.reached(step, slow)
            if clock.now > at:
                saves.append(at)
        # At the end of a save the work since the former one is at stake: 60 and 30 seconds, with a step of 10 to come.
        # Saves get shorter in the keeper's memory by a tenth each, in case one was slow for another reason.
        assert all(later - former + 30 <= 100 for former, later in itertools.pairwise(saves)), saves
        assert len(saves) > 3


def test_steps_longer_than_the_bound_are_kept_and_that_is_told_once(run: Run, clock: Clock) -> None:
    with run.process(keep=10) as checkpoints:
        for step in range(1, 5):
            clock.now += 150
            checkpoints.reached(step, text(str(step)))
    assert len(run.checkpoints) == 4
    assert [line for line in run.said if "half of the time" in line] == [
        "a step takes 150.0 s and a save 0.0 s, more than the 100 s that may be lost: steps are kept as often as half "
        "of the time allows"
    ]


def test_saves_longer_than_the_bound_take_no_more_than_half_of_the_time(run: Run, clock: Clock) -> None:
    spent = 0.0

    def slow(folder: Path) -> None:
        nonlocal spent
        clock.now += 300
        spent += 300
        text("x")(folder)

    began = clock.now
    with run.process() as checkpoints:
        for step in range(1, 201):
            clock.now += 10
            checkpoints.reached(step, slow)
    assert 0.4 < spent / (clock.now - began) <= 0.5 + 300 / (clock.now - began)


def test_only_the_newest_stay(run: Run) -> None:
    with run.process(keep=2) as checkpoints:
        for step in range(1, 6):
            assert checkpoints.save(step, text(str(step)))
    assert run.checkpoints == ["000001-000004", "000001-000005"]
    assert {path.name for path in (run.folder / "checkpoints").iterdir()} == set(run.checkpoints)
    with run.process(keep=2) as checkpoints:
        assert checkpoints.resume(state) == (5, "5")
        checkpoints.save(6, text("6"))
    assert run.checkpoints == ["000001-000005", "000002-000001"]


@pytest.mark.parametrize(
    ("damage", "word"),
    [
        (lambda folder: (folder / "manifest.json").unlink(), "was never finished"),
        (lambda folder: (folder / "state.txt").write_text("3x"), "has 2 bytes, not 1"),
        (lambda folder: (folder / "state.txt").write_text("4"), "is not what was written"),
        (lambda folder: (folder / "state.txt").unlink(), "state.txt is missing"),
        (lambda folder: (folder / "manifest.json").write_text('{"step": 3'), "its manifest cannot be read"),
        (lambda folder: (folder / "manifest.json").write_text('{"step": 3, "files": 4}'), "cannot be read"),
        (
            lambda folder: (folder / "manifest.json").write_text(
                json.dumps({"step": 3, "files": {"../../../x": {"size": 1, "sha256": ""}}})
            ),
            "is missing",
        ),
    ],
)
def test_what_is_damaged_is_told_and_the_one_before_taken(
    run: Run, damage: Callable[[Path], object], word: str
) -> None:
    with run.process() as checkpoints:
        for step in (1, 2, 3):
            checkpoints.save(step, text(str(step)))
    damage(run.folder / "checkpoints" / "000001-000003")
    with run.process() as checkpoints:
        assert checkpoints.resume(state) == (2, "2")
    assert sum(word in line for line in run.said) == 1, run.said


def test_an_older_process_that_comes_back_hides_nothing_and_ends(run: Run) -> None:
    with run.process() as lost:
        lost.save(10, text("of the lost node"))
        with run.process() as new:
            assert new.resume(state) == (10, "of the lost node")
            new.save(11, text("of the new one"))
            with pytest.raises(SystemExit) as ended:
                lost.save(99, text("of the lost node, later"))
            assert ended.value.code == keeper.SUPERSEDED
            assert "attempt 2 has taken over from attempt 1, which ends" in run.said
            assert new.save(12, text("of the new one, later"))
    with run.process() as third:
        assert third.resume(state) == (12, "of the new one, later")


def test_a_manifest_that_an_older_process_writes_too_late_is_not_the_newest(run: Run) -> None:
    """It has asked who else is there before the new one came, and writes after it."""
    with run.process() as lost:
        asked: list[Checkpoints] = []
        real = lost._attempts

        def before_the_other(self: Checkpoints = lost) -> list[int]:
            seen = real()
            if not asked:
                asked.append(run.process())
                with asked[0] as new:
                    new.save(5, text("new"))
            return seen

        lost._attempts = before_the_other  # type: ignore[method-assign]
        assert lost.save(50, text("old"))
    with run.process() as third:
        assert third.resume(state) == (5, "new")


def test_of_two_that_start_at_once_each_gets_a_number_of_its_own(run: Run) -> None:
    store = FolderStore(run.folder)
    claimed: list[str] = []

    def claim() -> None:
        number = 1
        while not store.claim(f"attempts/{number:06d}", b"{}"):
            number += 1
        claimed.append(f"{number:06d}")

    threads = [threading.Thread(target=claim) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(claimed) == [f"{number:06d}" for number in range(1, 9)]
    assert store.keys("attempts/") == [f"attempts/{number}" for number in sorted(claimed)]


def test_numbers_go_on_where_a_lifecycle_has_removed_the_claims(run: Run) -> None:
    for _ in range(3):
        with run.process() as checkpoints:
            checkpoints.save(1, text("1"))
    for claim in run.folder.glob("attempts/*"):
        claim.unlink()
    with run.process() as checkpoints:
        checkpoints.save(2, text("2"))
    assert run.checkpoints[-1] == "000004-000001"


def told_to_end(checkpoints: Checkpoints, step: int) -> object:
    """The exit status of a process that is told to end and then reaches a step."""
    os.kill(os.getpid(), signal.SIGTERM)
    assert checkpoints.ending
    with pytest.raises(SystemExit) as ended:
        checkpoints.reached(step, text(str(step)))
    return ended.value.code


def test_told_to_end_it_keeps_the_step_and_ends_as_one_that_was_ended(run: Run) -> None:
    with run.process() as checkpoints:
        checkpoints.reached(1, text("1"))
        checkpoints.reached(2, text("2"))
        assert not checkpoints.ending
        assert told_to_end(checkpoints, 3) == 143
    assert run.said[-1] == "told to end: step 3 is kept"
    with run.process() as checkpoints:
        assert checkpoints.resume(state) == (3, "3")


class Refusing(FolderStore):
    """A store that refuses some writes."""

    def __init__(self, folder: Path, times: int) -> None:
        super().__init__(folder)
        self.left = times

    def upload(self, key: str, source: Path) -> None:
        self.left -= 1
        if self.left >= 0:
            raise StoreError("AccessDenied")
        super().upload(key, source)


def refusing(checkpoints: Checkpoints, run: Run, times: int) -> Refusing:
    checkpoints._store = store = Refusing(run.folder, times)
    return store


def test_a_store_that_refuses_is_told_and_work_goes_on(run: Run, clock: Clock) -> None:
    with run.process() as checkpoints:
        refusing(checkpoints, run, 2)
        for step in range(1, 5):
            clock.now += 6
            checkpoints.reached(step, text(str(step)))
    refused = [line for line in run.said if "could not be kept" in line]
    # Not at each step: every 10 s, a tenth of the bound.
    assert refused == [
        "step 1 could not be kept, 6 s of work are at stake: AccessDenied",
        "step 3 could not be kept, 18 s of work are at stake: AccessDenied",
    ]


def test_told_to_end_it_tries_as_long_as_there_is_time(run: Run, clock: Clock) -> None:
    with run.process() as checkpoints:
        checkpoints.reached(1, text("1"))
        refusing(checkpoints, run, 5)
        assert told_to_end(checkpoints, 2) == 143
    assert run.said[-1] == "told to end: step 2 is kept"
    with run.process() as checkpoints:
        checkpoints.resume(state)
        refusing(checkpoints, run, 1000)
        began = clock.now
        assert told_to_end(checkpoints, 3) == 143
    assert run.said[-1] == "told to end at step 3, which could not be kept; kept is step 2"
    assert clock.now - began <= 10


def test_without_an_answer_at_the_start_nothing_begins(run: Run, clock: Clock) -> None:
    checkpoints = run.process()

    def refuse(_prefix: str) -> list[str]:
        raise StoreError("ServiceUnavailable")

    checkpoints._store = store = FolderStore(run.folder)
    store.keys = refuse  # type: ignore[method-assign, assignment]
    began = clock.now
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as ended, checkpoints:
        raise AssertionError("began")
    assert ended.value.code == keeper.UNAVAILABLE
    assert run.said[-1] == "checkpoints cannot be read: ServiceUnavailable"
    assert 60 < clock.now - began <= keeper.START_SECONDS
    assert signal.getsignal(signal.SIGTERM) is before


def test_the_example_goes_on_bit_for_bit(run: Run) -> None:
    unbroken = begin(7)
    for _ in range(9):
        unbroken = work(unbroken)
    broken = begin(7)
    for step in range(1, 10):
        broken = work(broken)
        with run.process() as checkpoints:
            checkpoints.save(step, lambda folder, now=broken: write(now, folder))  # type: ignore[misc]
        with run.process() as checkpoints:
            found = checkpoints.resume(read)
            assert found
            assert found[0] == step
            broken = found[1]
    assert digest(broken) == digest(unbroken)


@pytest.mark.parametrize(
    ("environment", "word"),
    [
        ({}, "CHECKPOINT_URL is missing: write s3://BUCKET/PREFIX, or file:///FOLDER on a machine of yours"),
        ({"CHECKPOINT_URL": "x", "CHECKPOINT_INTERVAL_SECONDS": "ten"}, "must be seconds, such as 600, not 'ten'"),
        ({"CHECKPOINT_URL": "x", "CHECKPOINT_GRACE_SECONDS": "-1"}, "CHECKPOINT_GRACE_SECONDS must be seconds"),
        ({"CHECKPOINT_URL": "x", "CHECKPOINT_GRACE_SECONDS": "nan"}, "CHECKPOINT_GRACE_SECONDS must be seconds"),
    ],
)
def test_an_environment_that_says_nothing_is_told(
    environment: dict[str, str], word: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        Checkpoints.from_environment(environment)
    assert ended.value.code == 1
    assert word in capsys.readouterr().err


@pytest.mark.parametrize(
    ("url", "word"),
    [("s3:///prefix", "names no bucket"), ("file://host/x", "another machine"), ("gs://b/x", "gs is not known")],
)
def test_an_address_that_leads_nowhere_is_told(url: str, word: str) -> None:
    with pytest.raises(StoreError, match=word):
        open_store(url)


def test_a_file_that_would_hide_the_list_is_refused(run: Run) -> None:
    def hiding(folder: Path) -> None:
        (folder / "manifest.json").write_text("{}")

    with run.process() as checkpoints, pytest.raises(ValueError, match=r"manifest\.json is the name of"):
        checkpoints.save(1, hiding)
