"""Errors of the twin that a person can act on."""


class TwinError(Exception):
    """Something that the twin cannot do, in words for the person who asked for it."""
