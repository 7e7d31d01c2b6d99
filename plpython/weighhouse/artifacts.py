"""Artifacts: what was learnt from a whole relation, as it is stored, signed, and kept in memory."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from typing import Any

from weighhouse import signing
from weighhouse.errors import FromNewerVersion, WeighhouseError
from weighhouse.learnt import Learnt, unpack
from weighhouse.remembered import Remembered

__all__ = ["ARTIFACTS", "Artifact", "find", "hold"]

# Of the session; a net has megabytes, a forest may have tens of them.
ARTIFACTS: Remembered[Learnt] = Remembered(most_entries=64, most_bytes=128_000_000)


def _digest(data: bytes | None) -> str:
    return "" if data is None else hashlib.sha256(data).hexdigest()


@dataclass(frozen=True, slots=True)
class Artifact:
    """A row of the table of artifacts.

    Attributes
    ----------
    kind, version, data_hash : str, int, str
        Kind of the model, version of its form, hash of the data.
    header : str
        JSON text.
    arrays : bytes
        Of `learnt.pack`.
    native : bytes or None
    label : str
        Not signed: nothing depends on it.
    """

    kind: str
    version: int
    data_hash: str
    header: str
    arrays: bytes
    native: bytes | None = None
    label: str = ""

    def content(self) -> str:
        """Join what is signed."""
        digests = (_digest(self.header.encode()), _digest(self.arrays), _digest(self.native))
        return "|".join(("artifact", self.kind, str(self.version), self.data_hash, *digests))

    def sign(self) -> bytes:
        """Sign it with the key of this server."""
        return signing.sign(self.content())

    def is_signed(self, signature: bytes) -> bool:
        """Whether a signature is its own."""
        return signing.is_signed(self.content(), signature)

    def open(self, id: str, signature: bytes, form: int) -> Learnt:
        """Verify, then unpack.

        Parameters
        ----------
        id : str
            How errors name it.
        signature : bytes
        form : int
            The newest form this code knows of the kind.

        Raises
        ------
        Tampered
            The signature is another; nothing was parsed.
        FromNewerVersion
            The form is newer than this code.
        """
        if not self.is_signed(signature):
            raise signing.Tampered(
                f"the artifact {id} is not what was signed",
                detail="Its content was changed, or the database was restored from another server.",
                hint="After a restore run: loader cache verify --adopt; else fit again.",
            )
        if self.version > form:
            raise FromNewerVersion(
                f"the artifact {id} has form {self.version} of {self.kind}",
                detail=f"This code knows forms up to {form}.",
                hint="Fit again, or run loader db upgrade with the newer release.",
            )
        header: dict[str, Any] = json.loads(self.header)
        return Learnt(header, unpack(self.arrays), self.native, self.label)


def hold(id: str, artifact: Artifact, signature: bytes, form: int, *, for_learning: bool) -> None:
    """Verify and unpack an artifact, and keep it in the memory of the session.

    for_learning: with the form of its library, which only who goes on learning needs.
    """
    learnt = artifact.open(id, signature, form)
    size = len(artifact.header) + len(artifact.arrays)
    if for_learning:
        size += len(artifact.native or b"")
    else:
        learnt = replace(learnt, native=None)
    ARTIFACTS.put(id, learnt, size)


def find(id: str) -> Learnt:
    """Give an artifact that is in memory.

    Raises
    ------
    WeighhouseError
        It is not: whoever scores holds it first.
    """
    found = ARTIFACTS.get(id)
    if found is None:
        raise WeighhouseError(
            f"the artifact {id} is not in the memory of the session",
            hint="It was removed by housekeeping: fit again.",
        )
    return found
