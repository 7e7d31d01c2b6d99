"""Raw files are kept under their SHA-256: in a directory, or in an S3-compatible store.

A directory needs nothing; other addresses go through fsspec (`pip install weighhouse[archive]`).
Secrets of a store come from where its client looks for them (AWS_ACCESS_KEY_ID, ~/.aws, a role of
the machine), the server from AWS_ENDPOINT_URL: never from the address, which is stored and shown.
"""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, Protocol, TypeVar, cast
from urllib.parse import urlsplit

from loader.errors import IntegrityFailed, LoaderError, Refused, UsageError

T = TypeVar("T")

PIECE = 1024 * 1024
TRIES = 4
PAUSE = 0.5
# Another try would say the same.
FINAL = (PermissionError, FileNotFoundError, IsADirectoryError, NotADirectoryError)


class Store(Protocol):
    """Somewhere files can be put, and read again."""

    def put(self, source: Path, key: str) -> None:
        """Store a file whole; what stood there is replaced."""
        ...

    def open(self, key: str) -> IO[bytes]:
        """Open a stored file; FileNotFoundError where there is none."""
        ...

    def url(self, key: str) -> str:
        """Give the address of a stored file."""
        ...


class Directory:
    """A directory of this machine."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def put(self, source: Path, key: str) -> None:
        """Write beside it, then rename: a file is there whole or not at all."""
        target = self.path / key
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=".storing-", dir=target.parent)
        try:
            with open(handle, "wb") as out, source.open("rb") as data:
                shutil.copyfileobj(data, out, PIECE)
                out.flush()
                os.fsync(out.fileno())
            os.chmod(name, 0o640)
            os.replace(name, target)
        except BaseException:
            with suppress(FileNotFoundError):
                os.unlink(name)
            raise

    def open(self, key: str) -> IO[bytes]:
        """Open a stored file."""
        return (self.path / key).open("rb")

    def url(self, key: str) -> str:
        """Give its absolute path as a file: address."""
        return (self.path / key).absolute().as_uri()


class Remote:
    """Any store fsspec knows, as s3://bucket/prefix."""

    def __init__(self, address: str) -> None:
        scheme = urlsplit(address).scheme
        try:
            import fsspec

            # Every process asks the store itself, and nobody else's options are used.
            options = {"use_listings_cache": False} if scheme in ("s3", "s3a") else {}
            self.system: Any = fsspec.filesystem(scheme, skip_instance_cache=True, **options)
        except (ImportError, ValueError) as error:
            raise UsageError(
                f"no client for {scheme}:// is installed",
                detail=str(error),
                hint='pip install "weighhouse[archive]" brings that of s3://',
            ) from error
        self.address = address.rstrip("/")

    def put(self, source: Path, key: str) -> None:
        """Send a file."""
        self.system.put_file(str(source), f"{self.address}/{key}")

    def open(self, key: str) -> IO[bytes]:
        """Open a stored file as a stream."""
        return cast(
            IO[bytes], self.system.open(f"{self.address}/{key}", "rb", block_size=8 * PIECE)
        )

    def url(self, key: str) -> str:
        """Give its address."""
        return f"{self.address}/{key}"


def chosen(given: str | None, setting: str | None) -> str | None:
    """Choose the archive: the option, else WEIGHHOUSE_ARCHIVE, else the setting archive.url."""
    address = given or os.environ.get("WEIGHHOUSE_ARCHIVE") or setting
    if address:
        _open(address)
    return address or None


def _open(address: str) -> Store:
    parts = urlsplit(address)
    if parts.scheme in ("", "file"):
        return Directory(Path(parts.path if parts.scheme else address))
    if parts.username or parts.password or "@" in parts.netloc or parts.query:
        raise UsageError(
            "the address of an archive must hold no user, password or option",
            hint="use s3://bucket/prefix; secrets belong into AWS_ACCESS_KEY_ID and its kin,"
            " the server into AWS_ENDPOINT_URL",
        )
    if not parts.netloc:
        raise UsageError(f"{address}: names no bucket", hint="use s3://bucket/prefix")
    return Remote(address)


def _key(sha256: str) -> str:
    # 256 folders: no directory of a million files.
    return f"{sha256[:2]}/{sha256}"


def store(address: str, path: Path, sha256: str) -> str:
    """Keep a file under its hash; what is there already, and right, is left alone.

    Returns
    -------
    str
        Where it is. What was written has been read back and has this hash.

    Raises
    ------
    Refused
        It could not be written, or not be read back, after several tries.
    """
    target = _open(address)
    key = _key(sha256)

    def work() -> None:
        with suppress(FileNotFoundError):
            if _hash(target.open(key)) == sha256:
                return
        target.put(path, key)
        if (found := _hash(target.open(key))) != sha256:
            raise OSError(f"what was read back has the SHA-256 {found}")

    _retrying(work, f"{path.name} cannot be archived in {address}")
    return target.url(key)


def fetch(url: str, sha256: str, output: Path) -> int:
    """Bring an archived file back; it is written only if it is what was archived.

    Returns
    -------
    int
        Its size, bytes.

    Raises
    ------
    IntegrityFailed
        The archive holds something else by now.
    Refused
        It cannot be read.
    """
    address, _, rest = url.rpartition("/")
    address, _, folder = address.rpartition("/")
    key = f"{folder}/{rest}"
    target = _open(address)
    size = 0

    def work() -> None:
        nonlocal size
        digest = hashlib.sha256()
        size = 0
        handle, name = tempfile.mkstemp(prefix=".fetching-", dir=output.absolute().parent)
        try:
            with open(handle, "wb") as out, target.open(key) as stream:
                while piece := stream.read(PIECE):
                    digest.update(piece)
                    out.write(piece)
                    size += len(piece)
            if digest.hexdigest() != sha256:
                raise IntegrityFailed(
                    f"{url}: the archive holds something else",
                    detail=f"SHA-256 {digest.hexdigest()}, not {sha256}",
                    hint="nothing was written; import the file again with --archive",
                )
            os.replace(name, output)
        finally:
            with suppress(FileNotFoundError):
                os.unlink(name)

    _retrying(work, f"{url} cannot be fetched")
    return size


def _hash(stream: IO[bytes]) -> str:
    digest = hashlib.sha256()
    with stream:
        while piece := stream.read(PIECE):
            digest.update(piece)
    return digest.hexdigest()


def _retrying(work: Callable[[], T], what: str) -> T:
    """Try again what may succeed: stores are machines far away."""
    for attempt in range(1, TRIES + 1):
        try:
            return work()
        except LoaderError:
            raise
        except FINAL as error:
            raise _failed(what, error) from error
        except Exception as error:
            # Clients of stores raise errors of their own, not all of them of one family.
            if attempt == TRIES:
                raise _failed(what, error) from error
        time.sleep(PAUSE * 2 ** (attempt - 1) * random.uniform(0.875, 1.125))
    raise AssertionError("unreachable")


def _failed(what: str, error: BaseException) -> Refused:
    return Refused(
        what,
        detail=f"{type(error).__name__}: {error}",
        hint="see that the store is up, exists and may be written; run the same command again",
    )
