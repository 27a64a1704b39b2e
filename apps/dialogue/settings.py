"""Settings: one JSON file, a few environment variables, frozen models. Every problem is reported at once."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    model_validator,
)

LOOPBACK = ("127.0.0.1", "::1", "localhost")
MOST_SPEAKERS = 4


class SettingsError(Exception):
    """The settings are wrong; the message names every key and what is wrong with it."""


def _single_line(text: str) -> str:
    if not text.strip() or any(not character.isprintable() for character in text):
        raise ValueError("must be a single line of printable characters")
    return text.strip()


def _http_url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment or parts.username:
        raise ValueError("must look like http://host:port")
    return text.rstrip("/")


def _listed(value: Any) -> Any:
    return [part.strip() for part in value.split(",")] if isinstance(value, str) else value


Line = Annotated[str, Field(max_length=120), AfterValidator(_single_line)]
Url = Annotated[str, AfterValidator(_http_url)]


class Section(BaseModel):
    """What all settings share: they do not change, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Wake(Section):
    """Where the time of a cold start goes, in seconds. It names the step while a request is held; nothing times out."""

    node: float = Field(default=60, ge=0)
    """Until a GPU node has joined the cluster."""
    image: float = Field(default=30, ge=0)
    """Until the image is there."""
    weights: float = Field(default=20, ge=0)
    """Until the model is in GPU memory."""


class Speaker(Section):
    """One model that can take part."""

    name: Annotated[str, Field(max_length=40), AfterValidator(_single_line)]
    """Who speaks, as people and the other models read it."""
    model: Line
    """The model's name on its server, such as `mistral:7b`."""
    url: Url
    """Where its Ollama listens."""
    persona: str = Field(default="", max_length=2000)
    """How it is to speak; people may write another one for a conversation."""
    guest: bool = False
    """Does not speak from the beginning, but can be asked to join."""
    context_tokens: int = Field(default=4096, ge=512)
    """Context length that the server gives the model (OLLAMA_CONTEXT_LENGTH). Earlier turns are left out to fit."""
    options: dict[str, bool | int | float | str] = {}
    """Model options for Ollama, such as `temperature`. Those of loading (`num_ctx`) may load it again."""
    wake: Wake = Wake()
    """Where the time of a cold start goes."""


class Limits(Section):
    """What one conversation, one key and the whole service may use."""

    topic_chars: int = Field(default=2000, ge=1)
    """Most characters of a topic; longer ones are refused."""
    persona_chars: int = Field(default=600, ge=0)
    """Most characters of a persona that somebody writes for a conversation."""
    turns: int = Field(default=12, ge=1)
    """Turns of a conversation, unless its start asks for fewer or more."""
    most_turns: int = Field(default=40, ge=1)
    """Most turns that can be asked for."""
    turn_tokens: int = Field(default=300, ge=1)
    """Most tokens of one turn."""
    turn_chars: int = Field(default=8000, ge=1)
    """Most characters of one turn, however few tokens they are."""
    total_tokens: int = Field(default=8000, ge=1)
    """Most tokens that all turns of a conversation have together."""
    seconds: float = Field(default=3600, gt=0)
    """Longest time that a conversation runs, waiting for sleeping models included, pauses not."""
    wake_seconds: float = Field(default=1200, gt=0)
    """Longest wait for a model that does not answer, before its turn fails."""
    stall_seconds: float = Field(default=60, gt=0)
    """Longest silence in the middle of an answer, before it counts as broken off."""
    retry_seconds: float = Field(default=0.5, gt=0)
    """First pause before a request is made again; each one after is twice as long."""
    longest_retry_seconds: float = Field(default=15, gt=0)
    """Longest pause."""
    unwatched_seconds: float = Field(default=60, gt=0)
    """A conversation that nobody has watched for so long is stopped: its GPU time would be spent for nobody."""
    keep_seconds: float = Field(default=86_400, gt=0)
    """How long a conversation that does not run can still be read. It is deleted afterwards."""
    lease_seconds: float = Field(default=15, gt=0)
    """A process that has not been heard of for so long has ended: another one goes on with its conversations."""
    conversations_per_key: int = Field(default=1, ge=1)
    """Conversations of one key that run at the same time."""
    conversations: int = Field(default=50, ge=1)
    """Conversations that run at the same time."""
    kept: int = Field(default=100, ge=1)
    """Conversations in memory, running ones included: at least `conversations`."""
    watchers: int = Field(default=500, ge=1)
    """People who watch at the same time."""
    watchers_per_key: int = Field(default=100, ge=1)
    """Streams of one key at the same time."""
    requests_per_minute: int = Field(default=60, ge=1)
    """Requests of one key that start or steer something."""
    reads_per_minute: int = Field(default=600, ge=1)
    """All other requests of one key."""
    failures_per_minute: int = Field(default=10, ge=1)
    """Wrong keys from one address, each of which is looked at and logged; those after are not."""
    heartbeat_seconds: float = Field(default=10, gt=0)
    """Longest silence of a stream."""

    @model_validator(mode="after")
    def _fit_together(self) -> Limits:
        if self.turns > self.most_turns:
            raise ValueError("turns must not exceed most_turns")
        if self.kept < self.conversations:
            raise ValueError("kept must be at least conversations")
        return self


class Settings(Section):
    """The whole service."""

    speakers: tuple[Speaker, ...]
    """Models that can take part; two at least that are no guests."""
    limits: Limits = Limits()
    """What may be used."""
    title: Line = "Dialogue"
    """Of the page."""
    notice: str = Field(default="", max_length=300)
    """Said at the top of the page and of every transcript."""
    store: Path | None = None
    """File in which conversations are kept (SQLite). Without one they end with the process."""
    store_table: str | None = Field(default=None, pattern=r"^[A-Za-z0-9_.-]{3,255}$")
    """Table of DynamoDB in which conversations are kept, instead of a file."""
    host: str = "127.0.0.1"
    """Address to listen on. Anything but loopback needs keys."""
    port: int = Field(default=8080, ge=0, le=65535)
    """Port to listen on."""
    keys_file: Path | None = None
    """File of API keys, one `name:key` a line; a mounted Secret. Changes are noticed."""
    api_keys: SecretStr | None = None
    """The keys themselves, where no file can be had; from DIALOGUE_API_KEYS, never from the settings' file."""
    metrics_port: int | None = Field(default=None, ge=0, le=65535)
    """Port of `/metrics`, which asks for no key: keep it from people. Without it there are none."""
    trusted_hops: int = Field(default=0, ge=0, le=10)
    """Proxies on the way that each add to X-Forwarded-For, where nobody can come by another way."""
    trusted_proxies: Annotated[tuple[str, ...], BeforeValidator(_listed)] = ()
    """Addresses or networks whose X-Forwarded-For is believed."""

    @property
    def guarded(self) -> bool:
        """Whether keys are asked for."""
        return self.keys_file is not None or self.api_keys is not None

    @model_validator(mode="after")
    def _one_store(self) -> Settings:
        if self.store and self.store_table:
            raise ValueError("store and store_table exclude each other")
        return self

    @model_validator(mode="after")
    def _one_way_to_addresses(self) -> Settings:
        if self.trusted_hops and self.trusted_proxies:
            raise ValueError("trusted_hops and trusted_proxies exclude each other")
        return self

    @model_validator(mode="after")
    def _speakers_differ(self) -> Settings:
        names = [speaker.name.casefold() for speaker in self.speakers]
        if len(names) < 2 or sum(not speaker.guest for speaker in self.speakers) < 2:
            raise ValueError("speakers: at least two that are not guests are needed")
        for name in {name for name in names if names.count(name) > 1}:
            raise ValueError(f"speakers: two are named {name}")
        return self

    def speaker(self, name: str) -> Speaker | None:
        """The speaker of that name."""
        return next((speaker for speaker in self.speakers if speaker.name == name), None)


_NAMED = (
    *("host", "port", "store", "store_table", "keys_file", "api_keys"),
    *("metrics_port", "trusted_hops", "trusted_proxies"),
)
#: Settings that the environment may give, by their variables.
_VARIABLES = {key: f"DIALOGUE_{key.upper()}" for key in _NAMED}


def load(path: Path | None = None, environment: Mapping[str, str] = os.environ, **chosen: Any) -> Settings:
    """Settings from a JSON file, the environment and `chosen`; what comes later wins.

    The environment's are those of `_VARIABLES`, such as DIALOGUE_HOST. Raises `SettingsError`.
    """
    values: dict[str, Any] = {}
    if path is not None:
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise SettingsError(f"{path}: {error}") from error
        if not isinstance(values, dict):
            raise SettingsError(f"{path}: must hold one JSON object")
        if "api_keys" in values:
            raise SettingsError("api_keys: keep keys out of the settings' file; name a keys_file")
    given = {key: value for key, value in chosen.items() if value is not None}
    named = {key: name for key, name in _VARIABLES.items() if environment.get(name) and key not in given}
    values |= {key: environment[name] for key, name in named.items()} | given
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        raise SettingsError("\n".join(_problem(problem, named) for problem in error.errors())) from error


def _problem(problem: Any, named: Mapping[str, str]) -> str:
    """named: by which variable of the environment a setting was given."""
    first, *rest = problem["loc"] or ("",)
    place = ".".join(str(part) for part in (named.get(first, first), *rest))
    message = str(problem["msg"]).removeprefix("Value error, ")
    return f"{place}: {message}" if place else message
