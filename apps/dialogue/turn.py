"""One turn of one speaker: waits for the model, streams what it says, and picks an answer that broke off up again.

An answer that broke off is continued where the model's template leaves the assistant's last message open, which Ollama
tells on request; the text so far is then sent as the beginning of the answer. Elsewhere the turn starts again, visibly.
"""

from __future__ import annotations

import asyncio
import random
import time
from contextlib import aclosing
from dataclasses import dataclass, field

from dialogue import waiting
from dialogue.endpoint import AnswerError, AsleepError, BrokenError, Chunk, Endpoint, Message
from dialogue.log import Log
from dialogue.prompt import Opening
from dialogue.settings import Limits
from dialogue.waiting import Status

#: Answers that break off without a word, one after the other, before the turn fails.
_FRUITLESS = 4
#: Answers that break off in one turn.
_INTERRUPTIONS = 20
_LONGEST_RETRY_AFTER = 60.0


@dataclass
class Turn:
    """What one speaker says in one go. Times in seconds."""

    number: int
    speaker: str
    parts: list[str] = field(default_factory=list)
    chars: int = 0
    tokens: int = 0
    seconds: float = 0.0
    load_seconds: float = 0.0
    reason: str = ""
    """Empty while it is spoken; then Ollama's reason (stop, length), or stopped, failed: those can go on."""

    @property
    def text(self) -> str:
        """What has been said so far."""
        return "".join(self.parts)

    @property
    def complete(self) -> bool:
        """Nothing more is to come."""
        return self.reason not in ("", "stopped", "failed")

    @property
    def rate(self) -> float:
        """Tokens per second while the model spoke."""
        return round(self.tokens / self.seconds, 1) if self.seconds > 0 else 0.0

    def restart(self) -> None:
        """Forget what was said."""
        self.parts, self.chars, self.tokens, self.seconds = [], 0, 0, 0.0


class TurnRunner:
    """Takes a turn to its end, through sleep and interruptions. Raises `AnswerError` where there is no hope."""

    def __init__(self, endpoint: Endpoint, turn: Turn, log: Log, limits: Limits, most_tokens: int) -> None:
        self._endpoint = endpoint
        self._turn = turn
        self._log = log
        self._limits = limits
        self._most_tokens = most_tokens
        self._status: Status | None = None
        self._guesses: list[asyncio.TimerHandle] = []
        self._waiting_since = time.monotonic()
        self._tries = 0
        self._fruitless = 0
        self._interruptions = 0

    async def run(self, messages: list[Message]) -> None:
        """Make requests until the turn is complete."""
        while not self._turn.complete:
            try:
                await self._attempt(messages)
                continue
            except AsleepError as error:
                failure: AsleepError | BrokenError = error
            except BrokenError as error:
                failure = error
                self._fruitless += 1
                self._interruptions += 1
                if self._fruitless >= _FRUITLESS or self._interruptions >= _INTERRUPTIONS:
                    raise
            finally:
                self._stop_guessing()
            await self._pause(failure)

    async def _attempt(self, messages: list[Message]) -> None:
        awake = not self._tries and self._endpoint.silent_seconds < waiting.AWAKE_SECONDS
        self._guess(awake)
        if not awake:
            loaded = await self._endpoint.loaded()
            if loaded is not None:
                self._stop_guessing()
                self._report(waiting.READING if loaded else waiting.LOADING)
        said = self._turn.text
        beginning = said.rstrip()
        prefilled = [*messages, {"role": "assistant", "content": beginning}]
        if not beginning or not await self._endpoint.continues(prefilled):
            await self._stream(messages, self._most_tokens, Opening(self._endpoint.speaker.name), continued=False)
        elif self._turn.tokens < self._most_tokens and self._turn.chars < self._limits.turn_chars:
            # Where the text so far ends in a space, the model says it again.
            opening = Opening() if said != beginning else None
            await self._stream(prefilled, self._most_tokens - self._turn.tokens, opening, continued=True)
        else:
            self._turn.reason = "length"

    async def _stream(self, messages: list[Message], budget: int, opening: Opening | None, *, continued: bool) -> None:
        turn = self._turn
        began, tokens, seconds = 0.0, 0, 0.0
        try:
            async with aclosing(self._endpoint.chat(messages, {"num_predict": budget})) as answer:
                async for chunk in answer:
                    if not began:
                        began = time.monotonic()
                        self._first_word(continued)
                        tokens, seconds = turn.tokens, turn.seconds
                    self._take(chunk, opening)
                    if chunk.done:
                        # Ollama's own counts, where it gives them, are better than those of the lines that came.
                        turn.tokens = tokens + (chunk.tokens or turn.tokens - tokens)
                        turn.load_seconds += chunk.load_seconds
                        turn.reason = chunk.reason
                        began, turn.seconds = (0.0, seconds + chunk.seconds) if chunk.seconds else (began, seconds)
                    elif turn.tokens - tokens > budget or turn.chars >= self._limits.turn_chars:
                        turn.reason = "length"  # a server that does not keep to num_predict, or text without end
                    if turn.complete:
                        return
        finally:
            if began:
                turn.seconds = seconds + time.monotonic() - began

    def _first_word(self, continued: bool) -> None:
        """The model answers, at last or again."""
        self._stop_guessing()
        self._status = None
        if self._turn.parts:
            self._log.add("resumed", turn=self._turn.number, how="continued" if continued else "restarted")
            if not continued:
                self._turn.restart()

    def _take(self, chunk: Chunk, opening: Opening | None) -> None:
        text = chunk.text if opening is None else opening.take(chunk.text)
        if chunk.done and opening is not None:
            text += opening.rest()
        text = text[: max(self._limits.turn_chars - self._turn.chars, 0)]
        self._turn.tokens += not chunk.done
        if chunk.thinking:
            self._report(waiting.THINKING)
        if text:
            self._tries = self._fruitless = 0
            self._waiting_since = time.monotonic()
            self._turn.parts.append(text)
            self._turn.chars += len(text)
            self._log.add_text(text)

    async def _pause(self, failure: AsleepError | BrokenError) -> None:
        """Wait before the next try; longer each time."""
        waited = time.monotonic() - self._waiting_since
        if waited > self._limits.wake_seconds:
            raise AnswerError(f"no answer within {self._limits.wake_seconds:.0f} s: {failure}") from failure
        pause = min(self._limits.retry_seconds * 2.0**self._tries, self._limits.longest_retry_seconds)
        pause *= random.uniform(0.8, 1.2)  # so that many who wait do not come at the same moment
        if isinstance(failure, AsleepError):
            pause = max(pause, min(failure.retry_after, _LONGEST_RETRY_AFTER))
        pause = round(pause, 2)
        self._tries += 1
        if isinstance(failure, BrokenError):
            self._report(waiting.interrupted(str(failure), pause))
        elif not failure.connected:
            self._report(waiting.unreachable(str(failure), pause))
        else:
            self._report(waiting.unavailable(str(failure), waited, self._endpoint.speaker.wake, pause))
        await asyncio.sleep(pause)

    def _guess(self, awake: bool) -> None:
        """Report, as long as nothing better is known, what the time tells for which the request is held."""
        loop = asyncio.get_running_loop()
        wake = self._endpoint.speaker.wake
        waited = time.monotonic() - self._waiting_since

        def guess(seconds: float) -> None:
            self._report(waiting.held(seconds, wake, awake))

        if not self._tries:
            guess(waited)
        # A try after others says nothing new before it has been held for a while itself.
        soonest = waited + waiting.PROMPT_SECONDS
        moments = {soonest, *(moment for moment in waiting.moments(wake, awake) if moment > soonest)}
        self._guesses = [loop.call_later(moment - waited, guess, moment) for moment in moments]

    def _stop_guessing(self) -> None:
        for timer in self._guesses:
            timer.cancel()
        self._guesses = []

    def _report(self, status: Status) -> None:
        if status != self._status:
            self._status = status
            waited = time.monotonic() - self._waiting_since
            self._log.add("status", turn=self._turn.number, **status.data(waited))
