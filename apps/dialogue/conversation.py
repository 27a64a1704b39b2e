"""A conversation: who takes part, whose turn it is, what has been said, and when it ends."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal

from dialogue import prompt
from dialogue.endpoint import AnswerError, Endpoint
from dialogue.log import Entry, Log, Piece
from dialogue.settings import MOST_SPEAKERS, Limits, Speaker
from dialogue.turn import Turn, TurnRunner

_log = logging.getLogger(__name__)
State = Literal["running", "stopped", "finished"]


class GoneError(Exception):
    """A speaker of a conversation that was kept is not in the settings any more."""


class Conversation:
    """Two to four models and their topic. `run` holds it; cancelling that stops it, running it again resumes it."""

    def __init__(
        self,
        identifier: str,
        owner: str,
        topic: str,
        speakers: Sequence[Speaker],
        endpoints: Mapping[str, Endpoint],
        limits: Limits,
        turns: int,
        *,
        notice: str = "",
    ) -> None:
        self.id = identifier
        self.owner = owner
        self.topic = topic
        self.speakers = list(speakers)
        self.turns: list[Turn] = []
        self.log = Log()
        self.state: State = "running"
        self.reason = ""
        self.notice = notice
        self.began = datetime.now(UTC)
        self.watchers = 0
        self.left = time.monotonic()
        """When the last watcher left, or the conversation last changed between running and not (monotonic seconds)."""
        self._stopped_at = float("-inf")
        self._endpoints = endpoints
        self._limits = limits
        self._most_turns = turns
        self._ran = 0.0
        self._since: float | None = None
        self._stop_reason = ""
        self._keep: Callable[[Conversation], None] = lambda _: None
        self._known: Callable[[Sequence[Mapping[str, Any]]], list[Speaker]] = lambda _: []
        self._loaded = False
        self.kept = 0
        """Position of the last entry that is kept."""
        self.elsewhere = False
        """Another process runs it."""
        self.lost = False
        """Another process has taken it over."""

    def begin(self, keep: Callable[[Conversation], None]) -> None:
        """Open the log. keep: called when something has happened that must not be lost."""
        self._keep = keep
        self.log.add("conversation", **self.describe())
        keep(self)

    def restore(
        self,
        began: datetime,
        keep: Callable[[Conversation], None],
        known: Callable[[Sequence[Mapping[str, Any]]], list[Speaker]],
    ) -> None:
        """Be one that another process began; what was said comes by `replay`. known: the speakers of what is kept."""
        self.began, self._keep, self._known = began, keep, known

    async def run(self) -> None:
        """Let turn follow turn until a limit is reached. Cancelled, it leaves the turn as it is, to go on with it."""
        self._set("running")
        self._since = time.monotonic()
        try:
            async with asyncio.timeout(max(self._limits.seconds - self._ran, 0)):
                while not (limit := self._limit_reached()):
                    await self._take_turn()
            self._set("finished", limit)
        except TimeoutError:
            self._end_turn("stopped")
            self._set("finished", "time")
        except AnswerError as failure:
            self._end_turn("failed", str(failure))
            self._set("stopped", "failure")
        except GoneError as gone:
            self._end_turn("failed", f"{gone} is not here any more")
            self._set("finished", "gone")
        except asyncio.CancelledError:
            self._end_turn("stopped")
            self._set("stopped", self._stop_reason or "shutdown")
            raise
        except Exception:
            # One conversation's trouble must not end the others.
            _log.exception("conversation %s failed", self.id)
            self._end_turn("failed", "an internal error")
            self._set("stopped", "failure")
        finally:
            self._ran, self._since = self.ran, None

    async def stop(self, task: asyncio.Task[None], reason: str) -> None:
        """Cancel the task in which the conversation runs, and wait for its end."""
        self._stop_reason = reason
        task.cancel()
        await asyncio.wait([task])
        if self.state == "running":  # cancelled before it took its first step
            self._set("stopped", reason)

    def join(self, speaker: Speaker) -> None:
        """Let one more speaker take part, from the next round on. Raises `ValueError` where that cannot be."""
        if any(other.name == speaker.name for other in self.speakers):
            raise ValueError(f"{speaker.name} takes part already")
        if len(self.speakers) >= MOST_SPEAKERS:
            raise ValueError(f"at most {MOST_SPEAKERS} take part")
        if self.state == "finished":
            raise ValueError("the conversation is over")
        self.speakers.append(speaker)
        self.log.add("joined", speaker=_public(speaker))
        self._keep(self)

    def replay(self, pieces: Sequence[Piece], ran: float) -> None:
        """Be as the log says that another process wrote. ran: seconds that it has run."""
        for piece in pieces:
            for entry in piece.entries:
                self._repeat(entry)
        self.log.extend(pieces)
        self._ran = ran
        self._loaded = True

    def take_over(self) -> None:
        """Go on where another process stopped: what it showed beyond what is kept counts as unsaid."""
        if not self._loaded:
            return
        self._loaded = self.elsewhere = False
        turn = self.turns[-1] if self.turns else None
        self.log.skip()
        last = {"text": turn.text, "tokens": turn.tokens} if turn and not turn.complete else {}
        self.log.add("restored", turn=len(self.turns), **last)

    def rest(self, reason: str) -> None:
        """Stop what another process left running."""
        self._set("stopped", reason)

    def lose(self) -> None:
        """Leave it to the process that has taken it over; watchers come back to that, and see nothing unsaved here."""
        self.lost = True
        self.log.cut(self.kept)
        self.log.close()

    @property
    def interrupted(self) -> bool:
        """Whether it would run, had its process not ended."""
        return not self.elsewhere and (self.state == "running" or (self.state, self.reason) == ("stopped", "shutdown"))

    def at_rest(self, seconds: float) -> bool:
        """Whether nothing more comes by itself: it is over, or was stopped so long ago that nobody waits for more."""
        if self.state == "stopped" and self.reason != "shutdown":
            return time.monotonic() - self._stopped_at > seconds
        return self.state == "finished"

    @property
    def ran(self) -> float:
        """Seconds that it has run."""
        return self._ran + (time.monotonic() - self._since if self._since else 0)

    @property
    def tokens(self) -> int:
        """Tokens of all turns."""
        return sum(turn.tokens for turn in self.turns)

    def describe(self) -> dict[str, Any]:
        """What people may know of the conversation."""
        return {
            "id": self.id,
            "topic": self.topic,
            "speakers": [_public(speaker) for speaker in self.speakers],
            "turns": self._most_turns,
            "began": self.began.isoformat(timespec="seconds"),
            **({"notice": self.notice} if self.notice else {}),
        }

    def snapshot(self) -> dict[str, Any]:
        """The conversation as it stands, with everything that was said."""
        said = [
            {
                "turn": turn.number,
                "speaker": turn.speaker,
                "text": turn.text,
                "tokens": turn.tokens,
                "tokens_per_second": turn.rate,
                "reason": turn.reason,
            }
            for turn in self.turns
        ]
        return {**self.describe(), "state": self.state, "reason": self.reason, "tokens": self.tokens, "said": said}

    async def _take_turn(self) -> None:
        if not self.turns or self.turns[-1].complete:
            self.turns.append(Turn(len(self.turns) + 1, self._next_speaker().name))
            self.log.add("turn", turn=self.turns[-1].number, speaker=self.turns[-1].speaker)
        turn = self.turns[-1]
        turn.reason = ""
        speaker = next(speaker for speaker in self.speakers if speaker.name == turn.speaker)
        others = [other.name for other in self.speakers if other is not speaker]
        said = [(before.speaker, before.text) for before in self.turns[:-1]]
        most = min(self._limits.turn_tokens, self._limits.total_tokens - (self.tokens - turn.tokens))
        messages = prompt.messages(speaker, others, self.topic, said, most)
        endpoint = self._endpoints.get(speaker.name)
        if endpoint is None:
            raise GoneError(speaker.name)
        await TurnRunner(endpoint, turn, self.log, self._limits, most).run(messages)
        self._end_turn(turn.reason)

    def _next_speaker(self) -> Speaker:
        if not self.turns:
            return self.speakers[0]
        names = [speaker.name for speaker in self.speakers]
        return self.speakers[(names.index(self.turns[-1].speaker) + 1) % len(names)]

    def _limit_reached(self) -> str:
        if self.tokens >= self._limits.total_tokens:
            return "tokens"
        complete = sum(turn.complete for turn in self.turns)
        return "turns" if complete >= self._most_turns else ""

    def _end_turn(self, reason: str, message: str = "") -> None:
        if not self.turns or (self.turns[-1].complete and self.turns[-1].reason != reason):
            return
        turn = self.turns[-1]
        turn.reason = reason
        self.log.add(
            "turn_end",
            turn=turn.number,
            reason=reason,
            message=message,
            tokens=turn.tokens,
            tokens_per_second=turn.rate,
            seconds=turn.seconds,
            load_seconds=turn.load_seconds,
        )
        self._keep(self)

    def _set(self, state: State, reason: str = "") -> None:
        self.state, self.reason, self._stop_reason = state, reason, ""
        self.left = self._stopped_at = time.monotonic()
        self.log.add("state", state=state, reason=reason)
        self._keep(self)

    def _repeat(self, entry: Entry) -> None:
        if isinstance(entry, str):
            self.turns[-1].parts.append(entry)
            self.turns[-1].tokens += 1
            return
        kind, data = entry
        match kind:
            case "turn":
                self.turns.append(Turn(data["turn"], data["speaker"]))
            case "resumed" if data["how"] == "restarted":
                self.turns[-1].restart()
            case "turn_end":
                turn = self.turns[-1]
                turn.reason, turn.tokens = data["reason"], data["tokens"]
                turn.seconds, turn.load_seconds = data["seconds"], data["load_seconds"]
            case "joined":
                self.speakers += self._known([data["speaker"]])
            case "state":
                self.state, self.reason = data["state"], data["reason"]


def _public(speaker: Speaker) -> dict[str, Any]:
    """What people may know of a speaker: not its address."""
    return {"name": speaker.name, "model": speaker.model, "persona": speaker.persona, "guest": speaker.guest}
