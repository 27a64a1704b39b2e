"""The demonstration service as it runs in its image: its own environment, its own model, real pictures over HTTP."""

from __future__ import annotations

import ast
import fnmatch
import os
import re
import subprocess
import zlib
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.apps.ollama_server import ROOT, free_port
from tests.patience import PATIENCE

APP = ROOT / "apps" / "classifier"
ENVIRONMENT = ROOT / ".venv-classifier"
#: As in apps/classifier/train.py: a build whose model is worse ends.
LEAST_ACCURACY = 0.95


@pytest.fixture(scope="module")
def samples() -> list[Path]:
    """Pictures that the model has not learnt from; with its environment, filled from the lock."""
    subprocess.run(["make", "classifier-env"], cwd=ROOT, check=True, capture_output=True, timeout=900)
    return sorted((ENVIRONMENT / "samples").glob("*.png"))


@contextmanager
def serving(**variables: str) -> Iterator[httpx.Client]:
    """The service as a process of its own."""
    port = free_port()
    given = {"CLASSIFIER_MODEL": str(ENVIRONMENT / "model.onnx"), "CLASSIFIER_PORT": str(port), **variables}
    process = subprocess.Popen(
        [ENVIRONMENT / "bin" / "python", "-m", "classifier"],
        env={**os.environ, "PYTHONPATH": str(ROOT / "apps"), **given},
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr
    try:
        for line in process.stderr:
            if "Uvicorn running" in line:
                break
        assert process.poll() is None
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE) as client:
            yield client
    finally:
        process.terminate()
        process.communicate(timeout=PATIENCE)


@pytest.fixture(scope="module")
def service(samples: list[Path]) -> Iterator[httpx.Client]:
    with serving() as client:
        yield client


def fails(variables: Mapping[str, str]) -> tuple[int, str]:
    """How the program ends where it cannot serve."""
    done = subprocess.run(
        [ENVIRONMENT / "bin" / "python", "-m", "classifier"],
        env={**os.environ, "PYTHONPATH": str(ROOT / "apps"), **variables},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    return done.returncode, done.stderr


def test_it_recognises_what_it_has_not_learnt(service: httpx.Client, samples: list[Path]) -> None:
    answers = [service.post("/classify", content=path.read_bytes()).json() for path in samples]
    right = sum(answer["label"] == path.name[0] for answer, path in zip(answers, samples, strict=True))
    assert len(samples) == 450
    assert right / len(samples) >= LEAST_ACCURACY
    assert all(abs(sum(answer["probabilities"].values()) - 1) < 0.01 for answer in answers)
    assert all(answer["confidence"] == max(answer["probabilities"].values()) for answer in answers)


def test_it_says_what_computes_and_how_good_it_is(service: httpx.Client) -> None:
    found = service.get("/readyz").json()
    assert found["provider"] == "CPUExecutionProvider"
    assert LEAST_ACCURACY <= found["accuracy"] <= 1
    assert found["classes"] == list("0123456789")
    assert service.get("/healthz").json() == {"status": "ok"}


def png(width: int, height: int) -> bytes:
    """A header that promises so many pixels, and no pixels."""
    data = width.to_bytes(4) + height.to_bytes(4) + bytes([8, 0, 0, 0, 0])
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        len(body).to_bytes(4) + name + body + zlib.crc32(name + body).to_bytes(4)
        for name, body in ((b"IHDR", data), (b"IDAT", zlib.compress(b"")), (b"IEND", b""))
    )


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", 400, "empty"),
        (b"no picture", 415, "unknown_format"),
        (b"GIF89a\x01\x00\x01\x00\x00\x00\x00;", 415, "unknown_format"),
        (png(4, 4), 400, "broken_picture"),
        (png(50_000, 50_000), 413, "too_many_pixels"),
        (png(200_000, 200_000), 413, "too_many_pixels"),
        (b"\x89PNG\r\n\x1a\n", 415, "unknown_format"),
        (bytes(5 * 1024 * 1024), 413, "too_large"),
    ],
)
def test_what_is_no_picture_for_it_is_refused_in_json(
    service: httpx.Client, body: bytes, status: int, code: str
) -> None:
    answer = service.post("/classify", content=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert answer.json()["error"]["message"]


def test_other_paths_and_methods_are_refused_in_json(service: httpx.Client) -> None:
    assert service.get("/classify").json()["error"]["code"] == "method_not_allowed"
    assert service.post("/nowhere").json()["error"]["code"] == "not_found"


def test_a_cut_picture_is_refused(service: httpx.Client, samples: list[Path]) -> None:
    whole = samples[0].read_bytes()
    answer = service.post("/classify", content=whole[: len(whole) // 2])
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "broken_picture")


def figures(client: httpx.Client) -> dict[tuple[str, str], float]:
    families = text_string_to_metric_families(client.get("/metrics").text)
    return {(each.name, each.labels.get("status", "")): each.value for family in families for each in family.samples}


def test_more_than_it_may_hold_is_refused_and_counted(samples: list[Path]) -> None:
    picture = samples[0].read_bytes()
    with serving(CLASSIFIER_CONCURRENCY="1", CLASSIFIER_QUEUE="0") as client, ThreadPoolExecutor(16) as threads:
        answers = list(threads.map(lambda _: client.post("/classify", content=picture), range(200)))
        found = figures(client)
    statuses = [answer.status_code for answer in answers]
    assert set(statuses) == {200, 503}
    assert all(answer.headers["Retry-After"] == "1" for answer in answers if answer.status_code == 503)
    for status in (200, 503):
        assert found["classifier_requests_total", str(status)] == statuses.count(status)
    assert found["classifier_requests_in_flight", ""] == 0
    assert found["classifier_seconds_count", ""] == statuses.count(200)
    assert found["classifier_in_flight_seconds_total", ""] >= found["classifier_seconds_sum", ""] > 0


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"CLASSIFIER_MODEL": "/nowhere.onnx"}, "there is no such file; `python -m classifier.train /nowhere.onnx`"),
        ({"CLASSIFIER_MODEL": str(APP / "train.py")}, "train.py: "),
        ({"CLASSIFIER_PORT": "http"}, "CLASSIFIER_PORT: must be a whole number from 0 to 65535, and is 'http'"),
        ({"CLASSIFIER_CONCURRENCY": "0"}, "CLASSIFIER_CONCURRENCY: must be a whole number from 1"),
    ],
)
def test_what_is_wrong_is_said_before_it_serves(samples: list[Path], variables: dict[str, str], said: str) -> None:
    status, message = fails(variables)
    assert status == 2
    assert message.startswith("Error: ")
    assert said in message
    assert "Traceback" not in message


def locked(path: Path) -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9._-]+)==([^\s;]+)", path.read_text(), re.MULTILINE))


@pytest.mark.parametrize("name", ["requirements", "requirements-gpu", "requirements-train"])
def test_what_it_shares_with_the_repository_has_the_same_version(name: str) -> None:
    ours, all_of_them = locked(APP / f"{name}.txt"), locked(ROOT / "requirements.txt")
    assert {package: all_of_them.get(package, version) for package, version in ours.items()} == ours
    assert not set(ours) & {"pulumi", "pytest"}


def test_it_imports_nothing_of_ours_and_serves_without_what_trains() -> None:
    of_image = {"classifier", "numpy", "onnxruntime", "PIL", "prometheus_client", "starlette", "uvicorn"}
    for file in APP.glob("*.py"):
        trains = {"onnx", "sklearn"} if file.name == "train.py" else set()
        for node in ast.walk(ast.parse(file.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            used = {name.partition(".")[0] for name in names}
            assert not used & {"onnx", "sklearn"} - trains, file.name
            assert {name for name in used if (ROOT / name).is_dir() or (ROOT / "apps" / name).is_dir()} <= of_image


def test_what_is_copied_is_what_the_image_has() -> None:
    kept = [line[1:] for line in (APP / ".dockerignore").read_text().split() if line.startswith("!")]
    tracked = subprocess.run(["git", "ls-files", "."], cwd=APP, capture_output=True, text=True, check=True)
    copied = {name for name in tracked.stdout.split() if any(fnmatch.fnmatch(name, pattern) for pattern in kept)}
    left_out = {"Dockerfile", ".dockerignore", *(f"requirements{part}.in" for part in ("", "-gpu", "-train"))}
    assert set(tracked.stdout.split()) - copied == left_out


def test_its_image_trains_checks_hashes_and_runs_as_nobody_in_particular() -> None:
    lines = (APP / "Dockerfile").read_text()
    assert "USER 65532:65532" in lines
    assert lines.count("pip install") == lines.count("--require-hashes") == 2
    assert "python -m classifier.train" in lines
    assert re.findall(r"^ARG PYTHON=.*", lines, re.M) == re.findall(
        r"^ARG PYTHON=.*", (ROOT / "apps" / "dialogue" / "Dockerfile").read_text(), re.M
    )
