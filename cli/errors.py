"""Errors that a person can mend: shown as one plain message, never as a traceback."""

INPUT_ERROR = 2
"""Exit status when what was asked for, or the stack file, is wrong."""
POLICY_ERROR = 3
"""Exit status when a mandatory policy is violated."""


class InputError(Exception):
    """What was given cannot be used; the text says what to write instead."""


class ProgramError(Exception):
    """The Pulumi program failed with something else than a message for its user. The text is its traceback."""
