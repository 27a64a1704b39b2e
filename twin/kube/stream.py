"""Follows what happens in a cluster: watches that survive lost connections, restarts and definitions that come late."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping

import urllib3

from twin.kube.client import ApiError, Kube, NoKindError, Object, error_of


def watch(
    kube: Kube,
    api_version: str,
    kind: str,
    *,
    stop: threading.Event,
    namespace: str | None = None,
    labels: str = "",
) -> Iterator[tuple[str, Object]]:
    """Changes as ("ADDED" | "MODIFIED" | "DELETED", object); what is there already comes first, as "ADDED".

    Goes on until `stop` is set: a lost connection is taken up again, and what was missed is made up for. After
    each complete list comes one ("SYNCED", {}).
    """
    known: dict[str, Object] = {}
    while not stop.is_set():
        try:
            yield from _watch_once(kube, api_version, kind, known, stop, namespace, labels)
        except NoKindError:
            yield from (("DELETED", known.pop(uid)) for uid in list(known))
            yield "SYNCED", {}
            stop.wait(0.3)
        except (ApiError, urllib3.exceptions.HTTPError, json.JSONDecodeError, OSError):
            stop.wait(0.3)


def _watch_once(
    kube: Kube,
    api_version: str,
    kind: str,
    known: dict[str, Object],
    stop: threading.Event,
    namespace: str | None,
    labels: str,
) -> Iterator[tuple[str, Object]]:
    path = kube.collection(api_version, kind, namespace)
    query = {"labelSelector": labels} if labels else {}
    try:
        listed = kube.request("GET", path, query=query)
    except ApiError as error:
        if error.status == 404:  # its definition is gone
            kube.forget(api_version)
            raise NoKindError(str(error)) from error
        raise
    now = {item["metadata"]["uid"]: item for item in listed["items"]}
    for uid in [uid for uid in known if uid not in now]:
        yield "DELETED", known.pop(uid)
    for uid, item in now.items():
        item.setdefault("kind", kind)
        item.setdefault("apiVersion", api_version)
        before = known.get(uid)
        known[uid] = item
        if before is None:
            yield "ADDED", item
        elif before["metadata"]["resourceVersion"] != item["metadata"]["resourceVersion"]:
            yield "MODIFIED", item
    yield "SYNCED", {}
    version = listed["metadata"]["resourceVersion"]
    while not stop.wait(0.02):  # a server that ends every stream at once is not asked without end
        for event, obj in _stream(kube, path, {**query, "resourceVersion": version}, stop):
            version = obj["metadata"]["resourceVersion"]
            if event == "BOOKMARK":
                continue
            uid = obj["metadata"]["uid"]
            if event == "DELETED":
                known.pop(uid, None)
            else:
                known[uid] = obj
            yield event, obj


def _stream(kube: Kube, path: str, query: Mapping[str, str], stop: threading.Event) -> Iterator[tuple[str, Object]]:
    options = {**query, "watch": "true", "allowWatchBookmarks": "true", "timeoutSeconds": "300"}
    response = kube.send("GET", path, None, query=options, timeout=65.0, stream=True)
    try:
        if response.status >= 400:
            raise error_of(response.status, response.data)
        for line in _lines(response, stop):
            event = json.loads(line)
            if event["type"] == "ERROR":
                raise ApiError(event["object"].get("code", 500), "Expired", event["object"].get("message", ""))
            yield event["type"], event["object"]
    finally:
        response.close()
        response.release_conn()


def _lines(response: urllib3.BaseHTTPResponse, stop: threading.Event) -> Iterator[bytes]:
    """Lines of a stream as they come, until it ends or is silent for a minute."""
    rest = b""
    while not stop.is_set():
        try:
            chunk = response.read1(65536)
        except urllib3.exceptions.ReadTimeoutError:
            # Silence, not loss. urllib3 closes the connection of a response that timed out: begin a new stream.
            return
        if not chunk:
            return
        *lines, rest = (rest + chunk).split(b"\n")
        yield from (line for line in lines if line)
