"""A conversation: who takes part, whose turn it is, what has been said, and when it ends."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal

from dialogue import prompt
from dialogue.endpoint import AnswerError, Endpoint
from dialogue.log import Log
from dialogue.settings import MOST_SPEAKERS, Limits, Speaker
from dialogue.turn import Turn, TurnRunner

_log = logging.getLogger(__name__)
State = Literal["running", "stopped", "finished"]


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
    ) -> None:
        self.id = identifier
        self.owner = owner
        self.topic = topic
        self.speakers = list(speakers)
        self.turns: list[Turn] = []
        self.log = Log()
        self.state: State = "running"
        self.reason = ""
        self.began = datetime.now(UTC)
        self.watchers = 0
        self.left = time.monotonic()
        """When the last watcher left, or the conversation last changed between running and not (monotonic seconds)."""
        self._endpoints = endpoints
        self._limits = limits
        self._most_turns = turns
        self._ran = 0.0
        self._stop_reason = ""
        self.log.add("conversation", **self.describe())

    async def run(self) -> None:
        """Let turn follow turn until a limit is reached. Cancelled, it leaves the turn as it is, to go on with it."""
        self._set("running")
        began = time.monotonic()
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
            self._ran += time.monotonic() - began

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
        endpoint = self._endpoints[speaker.name]
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
            seconds=round(turn.seconds, 2),
            load_seconds=round(turn.load_seconds, 2),
        )

    def _set(self, state: State, reason: str = "") -> None:
        self.state, self.reason, self._stop_reason = state, reason, ""
        self.left = time.monotonic()
        self.log.add("state", state=state, reason=reason)


def _public(speaker: Speaker) -> dict[str, Any]:
    """What people may know of a speaker: not its address."""
    return {"name": speaker.name, "model": speaker.model, "persona": speaker.persona, "guest": speaker.guest}
