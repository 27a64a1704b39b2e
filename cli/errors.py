"""Errors that a person can mend: shown as one plain message, never as a traceback."""

from __future__ import annotations

import re
import shutil
import sys
import textwrap

import click

from plan.errors import as_called

INPUT_ERROR = 2
"""Exit status when what was asked for, or the stack file, is wrong."""
POLICY_ERROR = 3
"""Exit status when a mandatory policy is violated."""
MISSING_ERROR = 4
"""Exit status when the AWS account is not as it must be: something is missing, or something is left."""
LIMIT_ERROR = 4
"""Exit status when a change costs more than it may."""
UNSEEN_ERROR = 5
"""Exit status when something in the AWS account could not be looked at, and all that could be is as it must be."""


#: Widest that a message is set, in columns.
_WIDEST = 120
#: What is pasted, and must not be broken: between backticks, or a command that a line ends with.
_COMMAND = re.compile(r"`[^`]+`|(?<=: )(?:aws|export|kubectl|make|pulumi|\S*slices) .*$")
_GLUE = "\0"


def fitted(message: str, width: int) -> str:
    """A message for a terminal: lines wrapped at words, what continues one further in; commands stay whole."""
    return "\n".join(_fitted(line, width) for line in message.split("\n"))


def _fitted(line: str, width: int) -> str:
    if len(line) <= width:
        return line
    indent = len(line) - len(line.lstrip())
    glued = _COMMAND.sub(lambda found: found[0].replace(" ", _GLUE), line.strip())
    wrapped = textwrap.fill(
        glued,
        width,
        initial_indent=" " * indent,
        subsequent_indent=" " * (indent + 2),
        break_long_words=False,
        break_on_hyphens=False,
    )
    return wrapped.replace(_GLUE, " ")


def say(message: str) -> None:
    """Print an error: wrapped on a terminal, and line for line as it is where a machine may read it."""
    message = as_called(message)
    if sys.stderr.isatty():
        message = fitted(message, min(shutil.get_terminal_size().columns, _WIDEST))
    click.echo(message, err=True)
