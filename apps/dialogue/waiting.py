"""What a model that does not speak yet is doing, told from what can be seen from here.

Nobody tells this service about nodes, images or weights. What it sees: whether a connection is made, whether the
gateway answers 502, 503 or 504, how long a request is held, what the server says is in memory, and the first byte. A
step that is only told from the time that a request has been held is marked as estimated.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from dialogue.settings import Wake

#: A server that is awake answers a question about what it has in memory at once.
PROMPT_SECONDS = 1.5
#: Within this time after its last word a model is taken to be awake: scale-to-zero takes longer.
AWAKE_SECONDS = 30.0


class Status(NamedTuple):
    """A waiting state. `state` is stable, `label` and `seen` are for people."""

    state: str
    label: str
    seen: str
    estimated: bool = False
    retry_seconds: float | None = None

    def data(self, waited: float) -> dict[str, Any]:
        """For an event: the status and how long the wait has lasted (seconds)."""
        return {**self._asdict(), "waited": round(waited, 1)}


ASKING = Status("asking", "asking the model", "the request is on its way")
READING = Status("reading", "reading the conversation", "the model is in memory")
LOADING = Status("weights", "loading weights", "the server is up, the model is not in its memory yet")
THINKING = Status("thinking", "thinking", "the model reasons before it speaks")


def held(seconds: float, wake: Wake, awake: bool) -> Status:
    """The state of a model whose answer has been awaited for so many seconds."""
    if seconds < PROMPT_SECONDS:
        return ASKING
    seen = "no answer yet"
    if awake:
        return Status("waiting", "waiting for the first word", f"{seen}; the model spoke a moment ago")
    return _step(seconds, wake, seen)


def unavailable(seen: str, seconds: float, wake: Wake, retry_seconds: float) -> Status:
    """The state of a model whose gateway answers 502, 503 or 504, or drops the request, after so many seconds."""
    return _step(seconds, wake, seen)._replace(retry_seconds=retry_seconds)


def unreachable(why: str, retry_seconds: float) -> Status:
    """No connection could be made."""
    return Status("unreachable", "no connection to the model", why, retry_seconds=retry_seconds)


def interrupted(why: str, retry_seconds: float) -> Status:
    """An answer broke off."""
    return Status("interrupted", "the answer broke off, picking it up again", why, retry_seconds=retry_seconds)


def moments(wake: Wake, awake: bool) -> list[float]:
    """Seconds after which `held` changes its mind."""
    if awake:
        return [PROMPT_SECONDS]
    ends = [wake.node, wake.node + wake.image, wake.node + wake.image + wake.weights]
    return sorted({PROMPT_SECONDS, *(end for end in ends if end > PROMPT_SECONDS)})


def _step(seconds: float, wake: Wake, seen: str) -> Status:
    steps = (("node", "starting a GPU node", wake.node), ("image", "fetching the image", wake.image))
    for state, label, length in (*steps, ("weights", "loading weights", wake.weights)):
        if seconds < length:
            return Status(state, label, seen, True)
        seconds -= length
    return Status("late", "still waking, longer than usual", seen, True)
