"""Errors of the twin that a person can act on."""


class TwinError(Exception):
    """Something that the twin cannot do, in words for the person who asked for it."""


class GivenUpError(TwinError):
    """A wait that ended because something else went wrong: that one is what there is to tell."""

    def __init__(self) -> None:
        super().__init__("given up, as something else went wrong")
