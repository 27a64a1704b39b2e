"""Commands: `python -m dialogue serve`, `… demo` and `python -m dialogue --topic …`."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

from dialogue import demo, server, settings, terminal, transcript
from dialogue.hub import RequestError
from dialogue.keys import KeysError
from dialogue.settings import Settings, SettingsError

_LAST_PORT = 65535
_SPEAKER_SHAPE = "[NAME@]MODEL=URL"
_PERSONA_SHAPE = "NAME=TEXT"
_EXAMPLES = """examples:
  python -m dialogue --topic 'Is a hot dog a sandwich?' \\
      --speaker mistral=http://localhost:11434 --speaker llama2=http://localhost:11434
  python -m dialogue serve --speaker mistral=http://localhost:11434 --speaker llama2=http://localhost:11434
  python -m dialogue serve --config dialogue.json
  python -m dialogue demo                  the page, with the Ollama of this machine or a demonstration model
"""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m dialogue",
        description="Models on Ollama servers talk about a topic: in the terminal, or as a web page with `serve`.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("command", nargs="?", choices=["serve", "demo"], help="start the web service instead")
    parser.add_argument("--topic", help="what they talk about")
    parser.add_argument(
        "--speaker", action="append", default=[], metavar=_SPEAKER_SHAPE, help="a model and its server; two to four"
    )
    parser.add_argument(
        "--guest",
        action="append",
        default=[],
        metavar=_SPEAKER_SHAPE,
        help="serve: a model that can be asked to join",
    )
    parser.add_argument(
        "--persona", action="append", default=[], metavar=_PERSONA_SHAPE, help="how a speaker is to speak"
    )
    parser.add_argument("--turns", type=int, help="turns of a conversation (default 12)")
    parser.add_argument("--turn-tokens", type=int, help="most tokens of a turn (default 300)")
    parser.add_argument("--total-tokens", type=int, help="most tokens of a conversation (default 8000)")
    parser.add_argument("--seconds", type=float, help="longest time of a conversation (default 3600)")
    parser.add_argument("--save", type=Path, metavar="FILE", help="write the transcript to a .md, .txt or .json file")
    parser.add_argument("--config", type=Path, metavar="FILE", help="settings as JSON (default: DIALOGUE_CONFIG)")
    parser.add_argument("--host", help="serve: address to listen on (default 127.0.0.1)")
    parser.add_argument("--port", type=_port, help="port to listen on, 0 for one that is free (default 8080)")
    parser.add_argument("--store", type=Path, metavar="FILE", help="serve: keep conversations in this file (SQLite)")
    parser.add_argument("--keys-file", type=Path, metavar="FILE", help="serve: API keys, one name:key a line")
    return parser


def _port(text: str) -> int:
    """A port of TCP. Raises what argparse turns into its message."""
    if not (text.isascii() and text.isdecimal() and int(text) <= _LAST_PORT):
        raise argparse.ArgumentTypeError(f"{text} is no port: 0 to {_LAST_PORT}")
    return int(text)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code."""
    parser = _parser()
    given = parser.parse_args(arguments)
    if given.command is None and not given.topic:
        parser.error("name a --topic, or write `serve` or `demo`")
    try:
        if given.command == "demo":
            return _demo(given)
        chosen, personas = _settings(given), dict(_pairs(given.persona, "--persona", _PERSONA_SHAPE))
        if given.save and given.save.suffix.lstrip(".") not in transcript.FORMATS:
            raise SettingsError(f"--save {given.save}: name a file that ends in .{', .'.join(transcript.FORMATS)}")
        if given.command is None:
            return terminal.run(chosen, given.topic, personas, given.save)
        server.serve(chosen)
    except (SettingsError, KeysError, RequestError, OSError) as error:
        sys.stderr.write("".join(f"error: {line}\n" for line in str(error).splitlines()))
        return 2
    return 0


def _settings(given: argparse.Namespace) -> Settings:
    path = given.config or (Path(os.environ["DIALOGUE_CONFIG"]) if os.environ.get("DIALOGUE_CONFIG") else None)
    values: dict[str, Any] = {"host": given.host, "port": given.port, "store": given.store}
    values["keys_file"] = given.keys_file
    speakers = [_speaker(text, "--speaker") for text in given.speaker]
    speakers += [_speaker(text, "--guest") for text in given.guest]
    if speakers:
        values["speakers"] = speakers
    if not path and not speakers:
        raise SettingsError("name two or more --speaker MODEL=URL, or a --config file")
    loaded = settings.load(path, **values)
    limits = {name: getattr(given, name) for name in ("turns", "turn_tokens", "total_tokens", "seconds")}
    limits = {name: value for name, value in limits.items() if value is not None}
    if limits.get("turns", 0) > loaded.limits.most_turns:
        limits["most_turns"] = limits["turns"]
    return settings.load(path, **values, limits=loaded.limits.model_dump() | limits)


def _demo(given: argparse.Namespace) -> int:
    found = demo.local_ollama()
    url, models = found or ("", [])
    if models:
        notice, lines = "", [f"Ollama at {url} has {', '.join(models[:3])}."]
    else:
        url, models, notice = demo.start_model(), [demo.MODEL], demo.NOTICE
        none = "The Ollama of this machine has no models" if found else "No Ollama answers on this machine"
        lines = [f"{none}: a demonstration model speaks."]
    port = 8080 if given.port is None else given.port
    listener = demo.listen(port)
    chosen = settings.load(
        given.config, speakers=demo.speakers(url, models), notice=notice, store=given.store, host="127.0.0.1"
    )
    address = demo.address(listener)
    if port and not address.endswith(f":{port}"):
        lines.append(f"Port {port} is taken.")
    lines.append(f"Open {address} in a browser. Ctrl-C ends it.")
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.stdout.flush()
    demo.run(chosen, listener)
    sys.stdout.write("\nEnded.\n")
    return 0


def _speaker(text: str, option: Literal["--speaker", "--guest"]) -> dict[str, Any]:
    model, url = next(_pairs([text], option, _SPEAKER_SHAPE))
    name, at, rest = model.partition("@")
    return {
        "name": name,
        "model": rest if at else model,
        "url": url if "://" in url else f"http://{url}",
        "guest": option == "--guest",
    }


def _pairs(texts: Sequence[str], option: str, shape: str) -> Iterator[tuple[str, str]]:
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name or not value:
            raise SettingsError(f"{option} {text}: write it as {shape}")
        yield name, value


if __name__ == "__main__":
    sys.exit(main())
