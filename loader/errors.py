"""What the user can put right: one line, what happened, what to do, and an exit code."""

from __future__ import annotations


class LoaderError(Exception):
    """An expected failure: printed without a traceback, ends the program with `exit_code`."""

    exit_code = 4

    def __init__(self, message: str, *, detail: str | None = None, hint: str | None = None) -> None:
        super().__init__(message)
        self.detail = detail
        self.hint = hint


class UsageError(LoaderError):
    """The command line cannot be carried out as given."""

    exit_code = 2


class ConnectionFailed(LoaderError):
    """No server, no rights, or the connection was lost."""

    exit_code = 3


class Refused(LoaderError):
    """The input or the server refused the work; nothing was changed."""

    exit_code = 4


class SchemaMismatch(LoaderError):
    """The database is behind or ahead of this loader."""

    exit_code = 5


class Busy(LoaderError):
    """Another run holds the lock."""

    exit_code = 6


class IntegrityFailed(LoaderError):
    """What is stored is not what was written."""

    exit_code = 7
