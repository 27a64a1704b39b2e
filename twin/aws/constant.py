"""Answers that are large and always the same: moto takes seconds to write them, so they are kept, also on disk."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlencode

import moto

from twin.go import ROOT
from twin.state import write_text

Answer = tuple[int, Mapping[str, str], bytes]
"""Status, headers, body."""

#: EC2 actions that depend on nothing but their parameters and moto's version.
CONSTANT = {"DescribeInstanceTypes", "DescribeInstanceTypeOfferings"}

_FOLDER = ROOT / ".cache" / "twin" / "answers"
_TOKEN = re.compile(r"<nextToken>(.*?)</nextToken>", re.DOTALL)
_HEADERS = {"Content-Type": "text/xml"}


@dataclass(frozen=True)
class Call:
    """One request. For EC2 and IAM `action` and `parameters` are from the form; for the rest from header and JSON."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    service: str
    region: str
    action: str
    parameters: Mapping[str, Any]


class ConstantAnswers:
    """Keeps all pages of each answer; the token of a page is its number."""

    def __init__(self, ask: Callable[[Call], Answer], region: str) -> None:
        self._ask = ask
        self._region = region
        self._pages: dict[str, list[str]] = {}
        self._lock = threading.Lock()

    def answer(self, call: Call) -> Answer:
        """A page."""
        parameters = {key: text for key, text in call.parameters.items() if key != "NextToken"}
        with self._lock:
            pages = self._all(replace(call, parameters=parameters))
        page = int(call.parameters.get("NextToken", "0"))
        return 200, _HEADERS, pages[page].encode()

    def _all(self, call: Call) -> list[str]:
        text = json.dumps([moto.__version__, self._region, call.parameters], sort_keys=True)
        key = hashlib.sha256(text.encode()).hexdigest()[:16]
        if key not in self._pages:
            path = _FOLDER / f"{call.action}-{key}.json"
            try:
                self._pages[key] = json.loads(path.read_text(encoding="utf-8"))
            except (FileNotFoundError, json.JSONDecodeError):
                self._pages[key] = self._collect(call)
                path.parent.mkdir(parents=True, exist_ok=True)
                write_text(path, json.dumps(self._pages[key]))
        return self._pages[key]

    def _collect(self, call: Call) -> list[str]:
        """Ask moto for every page."""
        pages: list[str] = []
        parameters = dict(call.parameters)
        while True:
            status, _, body = self._ask(replace(call, body=urlencode(parameters).encode()))
            text = body.decode()
            if status != 200:
                raise RuntimeError(f"moto refuses {call.action}: {text}")
            token = _TOKEN.search(text)
            pages.append(_TOKEN.sub(f"<nextToken>{len(pages) + 1}</nextToken>", text))
            if token is None or not token[1]:
                pages[-1] = text
                return pages
            parameters["NextToken"] = token[1]
