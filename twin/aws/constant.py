"""Answers that are large and always the same: moto takes seconds to write them, so they are kept, also on disk.

Two things differ from moto's answers:

- Only types with a price are in them. Karpenter buys no others, but at every look at a node it goes through all types
  of the region, and with a hundred nodes that is half of what the twin's processors do.
- All types with at most one GPU may have 58 pods, as an xlarge may, and all others 737, as a 48xlarge may. Karpenter
  makes a launch template for each number of pods, EC2 chooses among the types of all of them, but the simulated EC2 of
  the kwok flavour (`kwok/ec2/ec2.go`, CreateFleet) looks at the first one only, which would be a g6.16xlarge by chance.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlencode
from xml.etree import ElementTree

import moto

from gpu.catalog import INSTANCE_TYPES
from twin.machine.go import ROOT
from twin.machine.state import write_text
from twin.prices import played

Answer = tuple[int, Mapping[str, str], bytes]
"""Status, headers, body."""

#: EC2 actions that depend on nothing but their parameters and moto's version.
CONSTANT = {"DescribeInstanceTypes", "DescribeInstanceTypeOfferings"}

#: Of what is done to moto's answers.
_VERSION = 2
_FOLDER = ROOT / ".cache" / "twin" / "answers"
_TOKEN = re.compile(r"<nextToken>(.*?)</nextToken>", re.DOTALL)
_HEADERS = {"Content-Type": "text/xml"}
_NAMESPACE = "http://ec2.amazonaws.com/doc/2016-11-15"


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
        self._priced = played(region).on_demand
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
        text = json.dumps(
            [_VERSION, moto.__version__, self._region, sorted(self._priced), call.parameters],
            sort_keys=True,
        )
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
            more = f"<nextToken>{len(pages) + 1}</nextToken>" if token and token[1] else ""
            pages.append(_adapted(_TOKEN.sub(more, text), self._priced))
            if token is None or not more:
                return pages
            parameters["NextToken"] = token[1]


def _adapted(text: str, priced: Collection[str]) -> str:
    """An answer about instance types without those that have no price, and with few limits for pods."""
    ElementTree.register_namespace("", _NAMESPACE)
    root = ElementTree.fromstring(text)
    for kinds in root:
        for item in list(kinds):
            name = item.findtext(f"{{{_NAMESPACE}}}instanceType") or ""
            if name not in priced:
                kinds.remove(item)
                continue
            several = name in INSTANCE_TYPES and INSTANCE_TYPES[name].gpu_count > 1
            # Pods: network interfaces x (addresses of each - 1) + 2
            interfaces, addresses = ("15", "50") if several else ("4", "15")
            for limit in item.iter(f"{{{_NAMESPACE}}}maximumNetworkInterfaces"):
                limit.text = interfaces
            for limit in item.iter(f"{{{_NAMESPACE}}}ipv4AddressesPerInterface"):
                limit.text = addresses
    return ElementTree.tostring(root, encoding="unicode")
