"""Signatures of what the database stored: only what it wrote itself is parsed.

The key is a file beside the data of the server, readable by the server's own user alone: who can
write tables cannot read it, and a dump does not carry it.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os

from weighhouse.errors import WeighhouseError

__all__ = ["KEY_FILE", "Tampered", "is_signed", "sign"]

# In the data directory, which is where a server process runs.
KEY_FILE = "weighhouse.key"
BYTES = 32

_keys: dict[str, bytes] = {}


class Tampered(WeighhouseError):
    """Stored parameters are not those that were signed (55000)."""

    sqlstate = "55000"


def _key(path: str) -> bytes:
    """Read the key; make it where there is none."""
    if path not in _keys:
        if not os.path.exists(path):
            # Once a server: no session pays for the import but one.
            import secrets

            # Written aside and linked: two sessions at once see one whole key, never half of one.
            aside = f"{path}.{secrets.token_hex(8)}"
            handle = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "wb") as file:
                file.write(secrets.token_bytes(BYTES))
                file.flush()
                os.fsync(file.fileno())
            with contextlib.suppress(FileExistsError):
                os.link(aside, path)
            os.unlink(aside)
        with open(path, "rb") as file:
            key = file.read()
        if len(key) != BYTES:
            raise WeighhouseError(
                "the key of the signatures is damaged",
                detail=f"{path} has {len(key)} bytes, not {BYTES}.",
                hint="Remove the file, then run: loader cache verify --adopt.",
            )
        _keys[path] = key
    return _keys[path]


def sign(content: str, path: str = KEY_FILE) -> bytes:
    """Sign a text: HMAC-SHA-256 of its UTF-8."""
    return hmac.new(_key(path), content.encode(), hashlib.sha256).digest()


def is_signed(content: str, signature: bytes, path: str = KEY_FILE) -> bool:
    """Whether a signature is the one of a text."""
    return hmac.compare_digest(sign(content, path), signature)
