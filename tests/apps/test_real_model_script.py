"""`model.sh` against a real Ollama: its answers are read as they are, and weights need not be writable."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

import components.serving
from tests.apps.ollama_server import ModelServer, free_port
from tests.patience import PATIENCE

SCRIPT = Path(components.serving.__path__[0]) / "model.sh"
MODEL = "tiny-a:latest"


def serve(models: ModelServer, folder: Path, *, read_only: bool) -> tuple[int, str]:
    """Serve a model of a CPU-only build to the end: exit status, and what script and server said."""
    if models.why_double:
        pytest.skip(models.why_double)
    port = free_port()
    (folder / "bin").mkdir()
    (folder / "bin" / "ollama").symlink_to(models._binary)
    weights = models.folder / "models"
    environment = {
        "PATH": f"{folder / 'bin'}:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": str(folder),
        "OLLAMA_HOST": f"0.0.0.0:{port}",
        "OLLAMA_PORT": str(port),
        "OLLAMA_MODELS": str(weights),
        "OLLAMA_CONTEXT_LENGTH": "512",
        "OLLAMA_KEEP_ALIVE": "-1",
        "OLLAMA_NOPRUNE": "1",
        "OLLAMA_NO_CLOUD": "1",
        "LLAMA_ARG_FIT": "off",
        "MODELS": MODEL,
    }
    command = ["/bin/bash", str(SCRIPT), "serve"]
    if read_only:
        mount = f"mount --bind {weights} {weights} && mount -o remount,ro,bind {weights} && ! touch {weights}/x"
        command = ["unshare", "--mount", "/bin/bash", "-c", f"{mount} 2>/dev/null || exit 99; exec {' '.join(command)}"]
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )
    try:
        said, _ = process.communicate(timeout=PATIENCE)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    return process.returncode, said


SPILLED = re.compile(r"gpu-slices: tiny-a:latest has only 0 of its [1-9]\d+ bytes on the GPU")


def test_a_model_on_the_cpu_is_refused_though_ollama_serves_it(models: ModelServer, tmp_path: Path) -> None:
    status, said = serve(models, tmp_path, read_only=False)
    assert status == 1
    assert SPILLED.search(said), said[-2000:]


def test_ollama_needs_no_write_access_to_its_weights(models: ModelServer, tmp_path: Path) -> None:
    if not shutil.which("unshare"):
        pytest.skip("no `unshare` here, which makes the weights read-only for one process")
    status, said = serve(models, tmp_path, read_only=True)
    if status == 99 or "unshare failed" in said:
        pytest.skip("no mount namespaces here")
    # It was loaded, and only then refused for being on the CPU.
    assert status == 1
    assert SPILLED.search(said), said[-2000:]
