"""What a model is told: who it is, whom it talks to, and what has been said, as much of it as its context holds."""

from __future__ import annotations

from collections.abc import Sequence

from dialogue.endpoint import Message
from dialogue.settings import Speaker

#: Characters a token has at least, in Latin script; other scripts are counted by their bytes.
_CHARS_PER_TOKEN = 3
#: Tokens that a template puts around a message.
_TOKENS_AROUND = 12
_BEGIN = "Please begin."


def messages(
    speaker: Speaker, others: Sequence[str], topic: str, said: Sequence[tuple[str, str]], answer_tokens: int
) -> list[Message]:
    """The chat for a speaker's next turn. `said` are the (name, text) of the turns so far.

    The speaker's own turns are the assistant's; those of the others are the user's, with their names once there are
    several. The oldest turns are left out where they do not fit the context beside an answer of `answer_tokens`.
    """
    instructions = _instructions(speaker, others, topic)
    left = speaker.context_tokens - answer_tokens - tokens(instructions) - tokens(_BEGIN)
    fitting: list[Message] = []
    for name, text in reversed([turn for turn in said if turn[1].strip()]):
        own = name == speaker.name
        content = text if own or len(others) == 1 else f"{name}: {text}"
        left -= tokens(content)
        if left < 0 and fitting:
            break
        fitting.append({"role": "assistant" if own else "user", "content": content})
    chat = [{"role": "system", "content": instructions}]
    if not fitting or fitting[-1]["role"] == "assistant":
        chat.append({"role": "user", "content": _BEGIN})
    for message in reversed(fitting):
        if chat[-1]["role"] == message["role"]:
            chat[-1]["content"] += f"\n\n{message['content']}"
        else:
            chat.append(message)
    return chat


def tokens(text: str) -> int:
    """About how many tokens a message takes; rather too many than too few."""
    return max(len(text), len(text.encode()) * 2 // 3) // _CHARS_PER_TOKEN + _TOKENS_AROUND


def _instructions(speaker: Speaker, others: Sequence[str], topic: str) -> str:
    company = others[0] if len(others) == 1 else f"{', '.join(others[:-1])} and {others[-1]}"
    return "\n".join(
        line
        for line in (
            f"You are {speaker.name}. {speaker.persona}".strip(),
            f"You are in a spoken conversation with {company}. Its topic:",
            topic,
            "Answer what was said last in two to five sentences, in the language of the topic. Bring up something new, "
            "disagree where you have reason to, and ask now and then. Speak for yourself only: never write what the "
            "others say, and do not put your name in front.",
        )
        if line
    )


class Opening:
    """Takes space and the speaker's name off the beginning of an answer: models that read names write them."""

    def __init__(self, name: str = "") -> None:
        self._prefixes = (f"{name}:", f"**{name}:**", f"**{name}**:", f"[{name}]:") if name else ()
        self._held = ""
        self._over = False

    def take(self, text: str) -> str:
        """What of the text may be said. Only text that may still become the name is held back."""
        if self._over:
            return text
        self._held = (self._held + text).lstrip()
        for prefix in self._prefixes:
            if self._held.startswith(prefix):
                self._held = self._held.removeprefix(prefix).lstrip()
                self._prefixes = ()
                break
        if any(prefix.startswith(self._held) for prefix in self._prefixes):
            return ""
        self._over = bool(self._held)
        held, self._held = self._held, ""
        return held

    def rest(self) -> str:
        """What was held back, once nothing more comes."""
        held, self._held = self._held, ""
        return held
