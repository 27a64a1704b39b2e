"""The dialogue's own settings in a stack file: what may stand there, and what the service is given of it.

The application owns them (`apps/dialogue/settings.py`): its models check them here, at plan time, and `make docs`
lists them. It is read only where a stack file has such settings.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from config.errors import Path, Problem, hint, listed

#: What a stack file may set, beside speakers; the rest follows from the stack.
KEYS: Final = ("title", "limits", "speakers")
SPEAKER_KEYS: Final = ("name", "persona", "options", "wake")
#: Of a speaker, what the application wants and the stack knows.
_STAND_IN: Final = {"model": "m", "url": "http://m"}


def merged(settings: Mapping[str, Any], speakers: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The application's settings: those of the stack file over what the stack knows of each speaker, by its name."""
    own = settings.get("speakers", {})
    rest = {key: value for key, value in settings.items() if key != "speakers"}
    return {**rest, "speakers": [{**each, **own.get(each["name"], {})} for each in speakers]}


def problems(settings: Mapping[str, Any], names: Sequence[str], path: Path) -> Iterator[Problem]:
    """What is wrong with such settings. names: of the models that take part."""
    wrong = [*_wrong_keys(settings, names, path)]
    yield from wrong
    if not wrong:
        yield from _wrong_values(settings, names, path)


def _wrong_keys(settings: Mapping[str, Any], names: Sequence[str], path: Path) -> Iterator[Problem]:
    for key, value in settings.items():
        if key not in KEYS:
            message = f"is not a setting that a stack file has: {listed(KEYS, 'and')} are{hint(key, KEYS)}"
            yield Problem((*path, key), value, message)
    speakers = settings.get("speakers", {})
    if not isinstance(speakers, Mapping):
        yield Problem((*path, "speakers"), speakers, "must be a section with the names of speakers or guests as keys")
        return
    for name, given in speakers.items():
        place = (*path, "speakers", name)
        if name not in names:
            yield Problem(place, given, f"does not take part: {listed(names, 'and')} do{hint(name, names)}")
        elif not isinstance(given, Mapping):
            yield Problem(place, given, "must be a section with keys of its own")
        else:
            for key in [key for key in given if key not in SPEAKER_KEYS]:
                message = f"is not a setting of a speaker: {listed(SPEAKER_KEYS, 'and')} are{hint(key, SPEAKER_KEYS)}"
                yield Problem((*place, key), given[key], message)


def _wrong_values(settings: Mapping[str, Any], names: Sequence[str], path: Path) -> Iterator[Problem]:
    from pydantic import ValidationError  # noqa: PLC0415

    from dialogue.settings import Settings  # noqa: PLC0415  most stacks have none

    try:
        Settings.model_validate(merged(settings, [{"name": name, **_STAND_IN} for name in names]))
    except ValidationError as error:
        for detail in error.errors(include_url=False):
            where = list(detail["loc"])
            if where[:1] == ["speakers"] and len(where) > 1 and isinstance(where[1], int):
                where[1] = names[where[1]]
            yield Problem((*path, *where), detail["input"] if where else settings, _words(detail))


def _words(detail: Any) -> str:
    message = str(detail["msg"]).removeprefix("Value error, ")
    if detail["type"] == "extra_forbidden":
        return "is no setting of the dialogue: docs/dialogue.md lists them"
    return (message[0].lower() + message[1:]).replace("input should be", "must be")
