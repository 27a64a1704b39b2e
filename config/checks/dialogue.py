"""Checks of the dialogue's own settings."""

from __future__ import annotations

from collections.abc import Iterator

from config.checks.parts import Parts
from config.dialogue_settings import problems
from config.errors import Problem


def check_dialogue(parts: Parts) -> Iterator[Problem]:
    """What is wrong with settings of the application, and with where conversations are kept."""
    dialogue = parts.dialogue
    if dialogue and dialogue.store == "dynamodb" and dialogue.storage_class:
        message = "is of a volume, and dialogue.store is dynamodb: remove one of the two"
        yield Problem(("dialogue", "storageClass"), dialogue.storage_class, message)
    if dialogue and dialogue.image is None:
        # As with the door: nobody would notice that what was written has no effect.
        remedy = "keeps nothing: the dialogue has no image; write image: build, or remove"
        if dialogue.store == "dynamodb":
            yield Problem(("dialogue", "store"), dialogue.store, f"{remedy} store")
        if dialogue.storage_class:
            yield Problem(("dialogue", "storageClass"), dialogue.storage_class, f"{remedy} storageClass")
    if dialogue and dialogue.settings:
        yield from problems(dialogue.settings, [*dialogue.speakers, *dialogue.guests], ("dialogue", "settings"))
