"""Errors of the kernels: each has an SQLSTATE, which `pg.reporting` hands to PostgreSQL."""

from __future__ import annotations


class WeighhouseError(Exception):
    """An expected failure with an SQLSTATE, and what to do about it."""

    sqlstate = "ML000"

    def __init__(self, message: str, *, detail: str | None = None, hint: str | None = None) -> None:
        super().__init__(message)
        self.detail = detail
        self.hint = hint


class BadRow(WeighhouseError):
    """A row cannot be accepted."""

    sqlstate = "ML001"


class TooFewObservations(WeighhouseError):
    """Shorter than the model needs."""

    sqlstate = "ML101"


class NotConverged(WeighhouseError):
    """The optimiser stopped without an answer."""

    sqlstate = "ML102"


class BadOptions(WeighhouseError):
    """An unknown or impossible option or argument (22023, invalid_parameter_value)."""

    sqlstate = "22023"


class NotIdentified(WeighhouseError):
    """The data cannot tell the parameter."""

    sqlstate = "ML104"


class WrongVersion(WeighhouseError):
    """The stored code and the calling function disagree."""

    sqlstate = "ML901"


class FromNewerVersion(WeighhouseError):
    """Stored in a form this code does not know yet."""

    sqlstate = "ML203"
