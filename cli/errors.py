"""Errors that a person can mend: shown as one plain message, never as a traceback."""

INPUT_ERROR = 2
"""Exit status when what was asked for, or the stack file, is wrong."""
POLICY_ERROR = 3
"""Exit status when a mandatory policy is violated."""
MISSING_ERROR = 4
"""Exit status when the AWS account is not as it must be: something is missing, or something is left."""
UNSEEN_ERROR = 5
"""Exit status when something in the AWS account could not be looked at, and all that could be is as it must be."""


class InputError(Exception):
    """What was given cannot be used; the text says what to write instead."""


class ProgramError(Exception):
    """The Pulumi program failed with something else than a message for its user. The text is its traceback."""
