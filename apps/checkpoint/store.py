"""Where checkpoints are kept: a folder, or a prefix of a bucket of S3 (`checkpoint.s3`)."""

from __future__ import annotations

import os
import shutil
import uuid
from abc import ABC, abstractmethod
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import unquote, urlsplit


class StoreError(Exception):
    """A store could not be read or written: what, and why."""


class Store(ABC):
    """Objects by keys such as `attempts/000001`. Every method raises StoreError, and nothing else, where it fails."""

    @abstractmethod
    def claim(self, key: str, content: bytes) -> bool:
        """Write an object that is not there yet, whole; False where it is there. Of two who try, one has it."""

    @abstractmethod
    def keys(self, prefix: str) -> list[str]:
        """All keys that begin so, sorted; what has just been written is among them."""

    @abstractmethod
    def read(self, key: str) -> bytes:
        """A small object."""

    @abstractmethod
    def write(self, key: str, content: bytes) -> None:
        """Write a small object: nobody ever sees a part of it."""

    @abstractmethod
    def download(self, key: str, to: Path) -> None:
        """Fetch an object into a file."""

    @abstractmethod
    def upload(self, key: str, source: Path) -> None:
        """Write a file: nobody ever sees a part of it."""

    @abstractmethod
    def delete(self, keys: Iterable[str]) -> None:
        """Remove objects; those that are not there do not matter."""


def open_store(url: str) -> Store:
    """The store of `s3://BUCKET/PREFIX`, `file:///FOLDER` or a folder. Raises StoreError for another address."""
    parts = urlsplit(url)
    match parts.scheme:
        case "s3":
            from checkpoint.s3 import S3Store  # noqa: PLC0415  boto3 only where there is S3

            if not parts.netloc:
                raise StoreError(f"{url}: names no bucket; write s3://BUCKET/PREFIX")
            return S3Store(parts.netloc, parts.path.strip("/"))
        case "file":
            if parts.netloc not in ("", "localhost"):
                raise StoreError(f"{url}: is a folder of another machine; write file:///FOLDER, with three slashes")
            return FolderStore(Path(unquote(parts.path)))
        case "":
            return FolderStore(Path(url))
        case _:
            raise StoreError(f"{url}: {parts.scheme} is not known; write s3://BUCKET/PREFIX or file:///FOLDER")


class FolderStore(Store):
    """A folder of this machine: for laptops and tests, or a file system that all nodes see."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def claim(self, key: str, content: bytes) -> bool:
        """See `Store`."""
        try:
            beside = self._beside(key)
            _write(beside, content)
            try:
                os.link(beside, self._folder / key)
            except FileExistsError:
                return False
            finally:
                beside.unlink(missing_ok=True)
        except OSError as error:
            raise StoreError(f"{self._folder / key}: {error}") from error
        return True

    def keys(self, prefix: str) -> list[str]:
        """See `Store`."""
        try:
            found = [path.relative_to(self._folder) for path in self._folder.rglob("*") if path.is_file()]
        except OSError as error:
            raise StoreError(f"{self._folder}: {error}") from error
        return sorted(key for path in found if (key := path.as_posix()).startswith(prefix) and not _is_part(path))

    def read(self, key: str) -> bytes:
        """See `Store`."""
        try:
            return (self._folder / key).read_bytes()
        except OSError as error:
            raise StoreError(f"{self._folder / key}: {error}") from error

    def write(self, key: str, content: bytes) -> None:
        """See `Store`."""
        try:
            beside = self._beside(key)
            _write(beside, content)
            self._put(beside, key)
        except OSError as error:
            raise StoreError(f"{self._folder / key}: {error}") from error

    def download(self, key: str, to: Path) -> None:
        """See `Store`."""
        try:
            shutil.copyfile(self._folder / key, to)
        except OSError as error:
            raise StoreError(f"{self._folder / key}: {error}") from error

    def upload(self, key: str, source: Path) -> None:
        """See `Store`."""
        try:
            beside = self._beside(key)
            shutil.copyfile(source, beside)
            _sync(beside)
            self._put(beside, key)
        except OSError as error:
            raise StoreError(f"{self._folder / key}: {error}") from error

    def delete(self, keys: Iterable[str]) -> None:
        """See `Store`."""
        for key in keys:
            path = self._folder / key
            try:
                path.unlink(missing_ok=True)
                while (path := path.parent) != self._folder and not any(path.iterdir()):
                    path.rmdir()
            except FileNotFoundError:
                continue
            except OSError as error:
                raise StoreError(f"{path}: {error}") from error

    def _beside(self, key: str) -> Path:
        path = self._folder / key
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.with_name(f".{path.name}.{uuid.uuid4().hex}.part")

    def _put(self, beside: Path, key: str) -> None:
        path = self._folder / key
        beside.replace(path)
        _sync(path.parent)


def _is_part(path: Path) -> bool:
    return path.name.startswith(".") and path.name.endswith(".part")


def _write(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    _sync(path)


def _sync(path: Path) -> None:
    """Put a file or a folder onto the disk: after a crash of the machine a name without content would be there."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
