"""Bytes of a file: where they are, their hash, compression and encoding. Nothing is guessed."""

from __future__ import annotations

import codecs
import contextlib
import gzip
import hashlib
import io
import os
import stat
import sys
import tempfile
import threading
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, cast

from loader.errors import Refused, UsageError

# A longer line is no table; the limit keeps the memory bounded whatever the file holds.
MAX_LINE = 16 * 1024 * 1024
PIECE = 1024 * 1024

# A byte that is a line break in ASCII is one in these, and nothing else.
ONE_BYTE_BREAKS = frozenset(
    {"utf-8", "utf-8-sig", "ascii", "cp1251", "cp866", "koi8-r", "cp1252", "iso8859-1"}
)

# Named in the refusal, never chosen: on short text they cannot be told apart.
CANDIDATES = ("cp1251", "cp866", "koi8-r")

BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig", "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32", "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32", "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16", "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16", "utf-16-be"),
)

SAVE_AS = "Open it in the program that made it and save it as .xlsx or CSV (UTF-8)."
FOREIGN = (
    (b"\xd0\xcf\x11\xe0", "an old Excel workbook (.xls) or a password-protected one", SAVE_AS),
    (b"MOXCEL", "a 1C spreadsheet (.mxl)", "In 1C choose Save as, and take .xlsx or CSV."),
    (b"%PDF", "a PDF document", SAVE_AS),
    (b"<html", "an HTML page", SAVE_AS),
    (b"<!doctype", "an HTML page", SAVE_AS),
    (b"<?xml", "an XML document", SAVE_AS),
    (b"7z\xbc\xaf", "a 7z archive", "Unpack it first."),
    (b"Rar!", "a RAR archive", "Unpack it first."),
)


class Bytes:
    """The bytes of one input, readable as often as needed.

    Standard input and pipes are spooled to a temporary file; gzip is undone while reading.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        given = os.fspath(path)
        self._spools: list[IO[bytes]] = []
        self._raw: IO[bytes] | None = None
        self.name = "stdin" if given == "-" else Path(given).name
        if given != "-" and (self.name.startswith("~$") or self.name.startswith(".~lock.")):
            raise Refused(
                f"{self.name}: this is the lock file of an open workbook, not the workbook",
                hint="Close it in Excel and import the file without the prefix.",
            )
        try:
            if given == "-":
                self.path = self._spool(sys.stdin.buffer)
            else:
                self.path = Path(given)
                mode = self.path.stat().st_mode
                if stat.S_ISDIR(mode):
                    raise UsageError(f"{given}: is a directory", hint="Name the files in it.")
                if not stat.S_ISREG(mode):
                    with self.path.open("rb") as pipe:
                        self.path = self._spool(pipe)
            self._identity = self._stat()
            with self.path.open("rb") as file:
                head = file.read(2)
            self.size_bytes = self._identity[2]
            # Hashed while the text is verified.
            self._hash = _Hash(self.path)
        except FileNotFoundError:
            raise UsageError(f"{given}: no such file") from None
        except PermissionError as exc:
            raise UsageError(
                f"{given}: cannot be read: {exc.strerror}",
                hint="If it is open in Excel, close it there.",
            ) from None
        self.compressed = head == b"\x1f\x8b"
        self.head = b""
        with self.binary() as stream:
            self.head = stream.read(64 * 1024)
        self._refuse_foreign()

    def _spool(self, stream: IO[bytes]) -> Path:
        spool = tempfile.NamedTemporaryFile(prefix="weighhouse-")  # noqa: SIM115 (closed in close)
        self._spools.append(spool)
        while piece := stream.read(PIECE):
            spool.write(piece)
        spool.flush()
        return Path(spool.name)

    @property
    def sha256(self) -> str:
        """Hash of the bytes as given, hexadecimal."""
        return self._hash.value()

    def _stat(self) -> tuple[int, int, int, int]:
        found = self.path.stat()
        return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns

    def _refuse_foreign(self) -> None:
        start = self.head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
        for magic, what, hint in FOREIGN:
            if start.startswith(magic.lower()):
                raise Refused(
                    f"{self.name}: this is {what}, not a table that can be read", hint=hint
                )

    @property
    def is_zip(self) -> bool:
        """Whether the content (not the name) is a zip archive, as .xlsx is."""
        return self.head.startswith((b"PK\x03\x04", b"PK\x05\x06"))

    def check_unchanged(self) -> None:
        """Refuse a file that was written to while it was read: its hash would be a lie."""
        with contextlib.suppress(OSError):
            if self._stat() == self._identity:
                return
        raise Refused(
            f"{self.name}: the file changed while it was read",
            hint="Wait until the export is finished, then import it again.",
        )

    @contextlib.contextmanager
    def binary(self) -> Iterator[IO[bytes]]:
        """Open the (decompressed) bytes from the start, if they are still the same."""
        self.check_unchanged()
        with self.path.open("rb") as raw:
            self._raw = raw
            try:
                if self.compressed:
                    with gzip.GzipFile(fileobj=raw) as stream:
                        yield cast(IO[bytes], stream)
                else:
                    yield raw
            except (EOFError, zlib.error, gzip.BadGzipFile) as exc:
                raise Refused(
                    f"{self.name}: the compressed file is damaged: {exc}",
                    hint="Copy or export it again.",
                ) from None
            finally:
                self._raw = None

    def seekable(self) -> IO[bytes]:
        """The (decompressed) bytes as a file that can be sought in, for archives."""
        if self.compressed:
            spool: IO[bytes] = tempfile.TemporaryFile(prefix="weighhouse-")  # noqa: SIM115
            with self.binary() as stream:
                while piece := stream.read(PIECE):
                    spool.write(piece)
            spool.seek(0)
        else:
            spool = self.path.open("rb")
        self._spools.append(spool)
        return spool

    @property
    def position(self) -> int:
        """Bytes of the file as given that the current pass has taken."""
        return self._raw.tell() if self._raw is not None else self.size_bytes

    def close(self) -> None:
        """Give back temporary files."""
        for spool in self._spools:
            spool.close()
        self._spools.clear()


class _Hash:
    """Hashes a file in a thread of its own."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb")
        self._value = ""
        self._failure: OSError | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            with self._file:
                self._value = hashlib.file_digest(self._file, "sha256").hexdigest()
        except OSError as failure:
            self._failure = failure

    def value(self) -> str:
        """Wait for the hash."""
        self._thread.join()
        if self._failure is not None:
            raise self._failure
        return self._value


class Text:
    """The text of an input in one known encoding.

    A look at the bytes finds a line without end before anything reads it. Bytes that are no text
    are met when they are read; then a pass over the whole file says where they are. Both go in
    pieces, so their memory does not depend on the file.
    """

    def __init__(self, source: Bytes, encoding: str | None) -> None:
        self.source = source
        self._codec, self.encoding = self._choose(encoding)
        self.has_text = self.has_nul = False
        # Where a line break may be part of a character, and where a line may be too long, the text
        # tells.
        if self._codec in ONE_BYTE_BREAKS and self._look():
            return
        self._verify()

    def _choose(self, forced: str | None) -> tuple[str, str]:
        name, head = self.source.name, self.source.head
        marked = next(((c, label) for bom, c, label in BOMS if head.startswith(bom)), None)
        if forced is not None:
            try:
                canonical = codecs.lookup(forced).name
                b"".decode(canonical)
            except LookupError:
                raise UsageError(
                    f'unknown encoding "{forced}"', hint="For example utf-8, cp1251, cp866."
                ) from None
            if marked is not None:
                if marked[1].startswith(canonical):
                    return marked
                raise Refused(
                    f"{name}: --encoding {forced} contradicts the file, whose byte order mark"
                    f" says {marked[1]}",
                    hint="Leave --encoding out.",
                )
            if canonical in ("utf-16", "utf-32"):
                raise Refused(
                    f"{name}: {canonical} without a byte order mark has two readings",
                    hint=f"Add --encoding {canonical}-le (or {canonical}-be).",
                )
            return canonical, canonical
        if marked is not None:
            return marked
        for parity, label in ((1, "utf-16-le"), (0, "utf-16-be")):
            # Latin letters, digits, delimiters and line ends of UTF-16 are NUL in one half only.
            nuls = head.count(b"\0")
            if nuls >= max(2, len(head) // 50) and head[parity::2].count(b"\0") >= 0.98 * nuls:
                raise Refused(
                    f"{name}: looks like UTF-16 without a byte order mark (NUL byte at position"
                    f" {head.index(bytes(1))})",
                    hint=f"Add --encoding {label}.",
                )
        return "utf-8", "utf-8"

    def _look(self) -> bool:
        """Look at the bytes; False if a line may be too long."""
        length = 0
        with self.source.binary() as stream:
            while piece := stream.read(PIECE):
                self.has_text = self.has_text or bool(piece.removeprefix(codecs.BOM_UTF8).strip())
                self.has_nul = self.has_nul or b"\0" in piece
                last = max(piece.rfind(b"\n"), piece.rfind(b"\r"))
                length = length + len(piece) if last < 0 else len(piece) - last - 1
                if length > MAX_LINE:
                    return False
        return True

    def _verify(self) -> None:
        decoder = codecs.getincrementaldecoder(self._codec)()
        taken = length = 0
        beyond_ascii = False
        with self.source.binary() as stream:
            while True:
                piece = stream.read(PIECE)
                pending = len(decoder.getstate()[0])
                try:
                    text = decoder.decode(piece, final=not piece)
                except UnicodeDecodeError as exc:
                    line = self._line_after(taken - pending) + exc.object.count(b"\n", 0, exc.start)
                    self._refuse_bytes(exc, taken - pending, line, beyond_ascii)
                taken += len(piece)
                beyond_ascii = beyond_ascii or not text.isascii()
                self.has_text = self.has_text or bool(text.strip())
                # A look at the bytes is ten times faster than one at the text.
                self.has_nul = self.has_nul or (b"\0" in piece and "\0" in text)
                last = max(text.rfind("\n"), text.rfind("\r"))
                length = length + len(text) if last < 0 else len(text) - last - 1
                if length > MAX_LINE:
                    raise Refused(
                        f"{self.source.name}:{self._line_after(taken)}: the line is longer than"
                        f" {MAX_LINE // 1024 // 1024} MiB",
                        detail="No table has such a line; the line breaks may be lost.",
                        hint="Export the file again.",
                    )
                if not piece:
                    return

    def _line_after(self, size: int) -> int:
        """Give the line that goes on after so many bytes; counted only where one is to be named."""
        decoder = codecs.getincrementaldecoder(self._codec)()
        breaks = 0
        ends_in_cr = False
        with self.source.binary() as stream:
            while size and (piece := stream.read(min(size, PIECE))):
                size -= len(piece)
                text = decoder.decode(piece)
                breaks += text.count("\n") - (ends_in_cr and text.startswith("\n"))
                breaks += text.count("\r") - text.count("\r\n")
                ends_in_cr = text.endswith("\r") or (ends_in_cr and not text)
        return breaks + 1

    def _refuse_bytes(
        self, exc: UnicodeDecodeError, offset: int, line: int, beyond_ascii: bool
    ) -> None:
        name = self.source.name
        position = offset + exc.start
        where = f"{name}:{line}: byte 0x{exc.object[exc.start]:02X} at position {position}"
        if self._codec not in ("utf-8", "utf-8-sig"):
            raise Refused(
                f"{where} is not {self.encoding}",
                detail=exc.reason[0].upper() + exc.reason[1:] + ".",
                hint="Give the --encoding the file was written with.",
            )
        start = max(0, exc.start - 40, exc.object.rfind(b"\n", 0, exc.start) + 1)
        sample = exc.object[start : exc.start + 40]
        readings = []
        for candidate in CANDIDATES:
            with contextlib.suppress(UnicodeDecodeError):
                shown = " ".join(sample.decode(candidate).split())
                readings.append(f'as {candidate} it reads "{shown}"')
        if beyond_ascii or self._codec == "utf-8-sig":
            detail = "The bytes before it are UTF-8, so the file is probably damaged here; "
        else:
            detail = ""
        raise Refused(
            f"{where} is not UTF-8",
            detail=detail + "; ".join(readings) + ".",
            hint="Add --encoding cp1251 (or cp866, koi8-r), whichever reads as words.",
        )

    @contextlib.contextmanager
    def open(self) -> Iterator[io.TextIOWrapper]:
        """Open the text from the start, line ends as they are."""
        with self.source.binary() as stream:
            text = io.TextIOWrapper(stream, self._codec, errors="strict", newline="")
            try:
                yield text
            except UnicodeDecodeError:
                self.source.check_unchanged()
                self._verify()
                raise
            finally:
                text.detach()
