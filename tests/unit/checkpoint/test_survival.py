"""The job's process is really killed, its store is S3 as moto plays it: the result is that of an unbroken run."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import boto3
import pytest

from checkpoint import keeper
from tests.apps import aws_server
from tests.apps.aws_server import Trouble
from tests.patience import PATIENCE
from tests.unit.checkpoint.jobs import Job, running

pytestmark = pytest.mark.parts

BUCKET, PREFIX = "jobs", "train/run-1/0"
STEPS = 300
#: Seconds of work that may be lost.
BOUND = 1.0
_CREDENTIALS = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}


class Bucket:
    """S3 behind a port, with one bucket, and the trouble that a test makes."""

    def __init__(self) -> None:
        self.troubles: aws_server.Troubles = lambda _method, _path: None
        self.requests: list[tuple[str, str]] = []
        self.environment: dict[str, str] = {}

    def answer(self, method: str, path: str) -> Trouble | None:
        self.requests.append((method, path))
        return self.troubles(method, path)

    def client(self) -> Any:
        return boto3.client("s3", region_name=aws_server.REGION, endpoint_url=self.environment["AWS_ENDPOINT_URL_S3"])

    def content(self) -> list[str]:
        found = self.client().list_objects_v2(Bucket=BUCKET).get("Contents", ())
        return [item["Key"].removeprefix(f"{PREFIX}/") for item in found]


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    bucket = Bucket()
    for name, value in _CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    with aws_server.serving("s3", bucket.answer) as url:
        bucket.environment = {
            **_CREDENTIALS,
            "AWS_DEFAULT_REGION": aws_server.REGION,
            "AWS_ENDPOINT_URL_S3": url,
            keeper.URL_VARIABLE: f"s3://{BUCKET}/{PREFIX}",
            keeper.INTERVAL_VARIABLE: str(BOUND),
            keeper.GRACE_VARIABLE: "10",
        }
        bucket.client().create_bucket(Bucket=BUCKET)
        yield bucket


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What comes out where nobody interrupts."""
    folder = tmp_path_factory.mktemp("unbroken")
    with running(folder, {keeper.URL_VARIABLE: str(folder / "run")}, steps=STEPS, step_seconds=0) as job:
        return job.result


def resumed(job: Job) -> int:
    """The step after which a process goes on."""
    found = re.search(r"goes on after step (\d+),", job.said())
    return int(found[1]) if found else 0


def test_killed_at_twenty_random_moments_it_ends_with_the_result_of_an_unbroken_run(
    bucket: Bucket, unbroken: str, tmp_path: Path
) -> None:
    chance = random.Random(20261130)
    # Of the process before, which was killed.
    former: dict[int, float] = {}
    lost: list[Loss] = []
    for kill in range(20):
        with running(tmp_path, bucket.environment, steps=STEPS) as job:
            # Later also before its first step, and in the middle of what it writes.
            job.wait_for("attempt " if kill else "step 20 ")
            time.sleep(chance.uniform(0, 0.9))
            number = signal.SIGTERM if kill % 2 else signal.SIGKILL
            status = job.end(number)
            assert status in ((0, 143) if number == signal.SIGTERM else (0, -9)), job.said()
            lost += losses(former, resumed(job))
            former = job.steps() or former
    with running(tmp_path, bucket.environment, steps=STEPS) as job:
        assert job.result == unbroken
        lost += losses(former, resumed(job))
        assert resumed(job) > 0, "all that went before was of no use"
    assert any(loss.seconds > 0 for loss in lost), "no kill has cost anything: they came too late"
    # On a machine with others on it a step or a save may take longer than ever before, which cannot be reckoned with;
    # saves of more than the bound are made in half of the time.
    assert all(loss.seconds <= max(BOUND, 2 * loss.longest_pause) + loss.longest_pause for loss in lost), lost


class Loss(NamedTuple):
    """What a kill has cost: seconds of work that are done again, the longest time between two steps of that process."""

    seconds: float
    longest_pause: float


def losses(former: dict[int, float], resumed_after: int) -> Iterator[Loss]:
    """Of the killed process. former: its steps, and when they were done."""
    if any(step > resumed_after for step in former):
        # It may have been killed before it kept anything: what it did since its start is lost.
        lost = max(former.values()) - former.get(resumed_after, min(former.values()))
        times = sorted(former.values())
        yield Loss(lost, max((after - before for before, after in pairwise(times)), default=0))


def test_told_to_end_it_loses_nothing(bucket: Bucket, tmp_path: Path) -> None:
    with running(tmp_path, bucket.environment) as job:
        job.wait_for("step 20 ")
        assert job.end(signal.SIGTERM) == 143
        last = max(job.steps())
    with running(tmp_path, bucket.environment) as job:
        job.wait_for("goes on after step")
        assert resumed(job) == last


def test_killed_in_the_middle_of_an_upload_it_goes_on_from_the_one_before(
    bucket: Bucket, unbroken: str, tmp_path: Path
) -> None:
    arrived = threading.Event()

    def hang(method: str, path: str) -> Trouble | None:
        """The second checkpoint's files come, its manifest does not."""
        if method == "PUT" and "-000002/weights.json" in path:
            arrived.set()
            return Trouble(status=503, code="SlowDown", seconds=5)
        return None

    bucket.troubles = hang
    with running(tmp_path, bucket.environment, steps=STEPS) as job:
        assert arrived.wait(PATIENCE)
        job.end(signal.SIGKILL)
        assert resumed(job) == 0
    bucket.troubles = lambda _method, _path: None
    half = [key for key in bucket.content() if "-000002/" in key]
    assert half, "nothing of the second one has come"
    assert not any("manifest" in key for key in half)
    with running(tmp_path, bucket.environment, steps=STEPS) as job:
        assert job.result == unbroken
        assert "checkpoint checkpoints/000001-000002/ was never finished: the one before" in job.said()
        assert resumed(job) == 1
    assert not any(key.startswith("checkpoints/000001-000002/") for key in bucket.content()), "it is swept"


def test_a_lost_node_that_comes_back_ends_and_the_newer_pod_goes_on(
    bucket: Bucket, unbroken: str, tmp_path: Path
) -> None:
    with running(tmp_path, bucket.environment, steps=STEPS) as lost:
        lost.wait_for("step 50 ")
        os.kill(lost.process.pid, signal.SIGSTOP)
        with running(tmp_path, bucket.environment, steps=STEPS) as new:
            new.wait_for("goes on after step")
            os.kill(lost.process.pid, signal.SIGCONT)
            assert lost.process.wait(PATIENCE) == keeper.SUPERSEDED
            assert "attempt 2 has taken over from attempt 1, which ends" in lost.said()
            assert new.result == unbroken
    manifests = [key for key in bucket.content() if key.endswith("manifest.json")]
    assert sorted(manifests)[-1].startswith("checkpoints/000002-")


def test_many_that_start_at_once_get_numbers_of_their_own(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    """By S3's conditional writes, not by what a listing said."""
    from checkpoint.s3 import S3Store  # noqa: PLC0415

    for name, value in bucket.environment.items():
        monkeypatch.setenv(name, value)
    store = S3Store(BUCKET, PREFIX)

    def claim(_: int) -> int:
        number = 1
        while not store.claim(f"attempts/{number:06d}", b"{}"):
            number += 1
        return number

    with ThreadPoolExecutor(6) as pool:
        assert sorted(pool.map(claim, range(6))) == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize(("status", "code"), [(403, "AccessDenied"), (503, "SlowDown")])
def test_what_s3_refuses_is_told_and_the_work_goes_on(
    bucket: Bucket, unbroken: str, tmp_path: Path, status: int, code: str
) -> None:
    """Writes are refused for a while in the middle of the run; then it is killed and resumes from what came after."""
    refused = threading.Event()

    def refuse(method: str, path: str) -> Trouble | None:
        if method == "PUT" and "checkpoints/" in path and not refused.is_set():
            return Trouble(status=status, code=code)
        return None

    bucket.troubles = refuse
    with running(tmp_path, bucket.environment, steps=STEPS) as job:
        job.wait_for("could not be kept")
        assert code in job.said()
        done = max(job.steps(), default=0)
        refused.set()
        job.wait_for(f"step {done + 60} ")
        job.end(signal.SIGKILL)
    with running(tmp_path, bucket.environment, steps=STEPS) as job:
        assert job.result == unbroken
        assert resumed(job) > 0


def test_a_slow_s3_holds_the_work_up_and_ends_nothing(bucket: Bucket, tmp_path: Path) -> None:
    steps = 100  # some wait for saves, each of which takes longer than the second that may be lost
    with running(tmp_path, {keeper.URL_VARIABLE: str(tmp_path / "run")}, steps=steps, step_seconds=0) as job:
        unbroken = job.result
    bucket.troubles = lambda method, path: Trouble(seconds=BOUND) if method == "PUT" else None
    with running(tmp_path, bucket.environment, steps=steps) as job:
        assert job.result == unbroken
        assert "half of the time" in job.said()


def test_a_start_waits_for_s3_and_begins_nothing_anew(bucket: Bucket, tmp_path: Path) -> None:
    with running(tmp_path, bucket.environment) as job:
        job.wait_for("step 10 ")
        job.end(signal.SIGTERM)
    left = iter(range(5))

    def out(_method: str, _path: str) -> Trouble | None:
        return Trouble(status=503, code="SlowDown") if next(left, None) is not None else None

    bucket.troubles = out
    with running(tmp_path, bucket.environment) as job:
        job.wait_for("goes on after step")
        assert "checkpoints cannot be read yet" in job.said()
        assert "from the beginning" not in job.said()


def test_a_download_that_breaks_off_is_tried_again(bucket: Bucket, unbroken: str, tmp_path: Path) -> None:
    with running(tmp_path, bucket.environment, steps=STEPS) as job:
        job.wait_for("step 20 ")
        assert job.end(signal.SIGTERM) == 143
        last = max(job.steps())
    broken: list[str] = []

    def breaking(method: str, path: str) -> Trouble | None:
        # boto3 itself tries five times (s3transfer, TransferConfig.num_download_attempts), and gives up.
        if method != "GET" or "/checkpoints/" not in path or path.endswith("manifest.json") or len(broken) == 5:
            return None
        broken.append(path)
        return Trouble(breaks_off=True)

    bucket.troubles = breaking
    with running(tmp_path, bucket.environment, steps=STEPS) as job:
        assert job.result == unbroken
        assert "checkpoints cannot be read yet" in job.said()
        assert resumed(job) == last


def test_the_role_needs_what_the_stack_gives(bucket: Bucket, tmp_path: Path) -> None:
    """Every request is below the prefix, and of a kind that the role's policy names (tests/plan)."""
    with running(tmp_path, bucket.environment, steps=150) as job:
        job.wait_for("result ")
    bucket.requests.clear()
    with running(tmp_path, bucket.environment, steps=300) as job:
        job.wait_for("result ")
    for method, path in bucket.requests:
        listing = path.startswith(f"/{BUCKET}?list-type=2&prefix={PREFIX.replace('/', '%2F')}%2F")
        inside = path.startswith(f"/{BUCKET}/{PREFIX}/") and method in ("GET", "HEAD", "PUT")
        deletion = method == "POST" and path == f"/{BUCKET}?delete"
        assert listing or inside or deletion, (method, path)
    newest = sorted(key for key in bucket.content() if key.endswith("manifest.json"))[-1]
    manifest = bucket.client().get_object(Bucket=BUCKET, Key=f"{PREFIX}/{newest}")["Body"].read()
    assert json.loads(manifest)["step"] == 300
