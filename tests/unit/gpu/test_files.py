"""What is read must be a file that ends: anything else is an error at once, not a hang."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from gpu.files import read_bytes, read_text


def test_a_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"\xc3\xa4")
    (tmp_path / "link").symlink_to("a")
    assert read_bytes(tmp_path / "a") == b"\xc3\xa4"
    assert read_text(tmp_path / "link") == "ä"


def test_a_pipe_a_device_a_directory_and_a_socket_are_named(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket"))
    kinds = {tmp_path / "pipe": "a named pipe", tmp_path: "a directory", tmp_path / "socket": "a socket"}
    for path, kind in {**kinds, Path("/dev/zero"): "a device"}.items():
        with pytest.raises(OSError, match=f"it is {kind}, not a file"):
            read_bytes(path)


def test_a_file_that_is_too_large_is_not_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "huge"
    with path.open("wb") as file:
        file.truncate(2**40)  # takes no room on the disk
    with pytest.raises(OSError, match="it has more than 16 MiB"):
        read_bytes(path)
