"""Errors that a person can mend."""

from __future__ import annotations


class InputError(Exception):
    """What was given cannot be used; the text says what to write instead."""


class ProgramError(Exception):
    """The Pulumi program failed with something else than a message for its user. The text is its traceback."""
