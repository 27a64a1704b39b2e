"""A small Kubernetes client: plain objects in, plain objects out, server-side apply and watches.

Kinds are found by the server's own discovery, so every custom resource works as soon as it is defined.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

import urllib3

from twin.errors import TwinError

Object = dict[str, Any]

FIELD_MANAGER = "slices"
APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"
JSON = "application/json"

#: Seconds for one request; watches take longer.
_TIMEOUT = 30.0


class ApiError(TwinError):
    """What the API server refused: `status` is HTTP's, `reason` Kubernetes' (`NotFound`, `Invalid`, ...)."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason


class UnreachableError(ApiError):
    """The API server does not answer."""

    def __init__(self, why: str) -> None:
        super().__init__(0, "Unreachable", f"the API server does not answer ({why})")


class NoKindError(ApiError):
    """The API server does not have such a kind."""

    def __init__(self, message: str) -> None:
        super().__init__(404, "NotFound", message)


@dataclass(frozen=True)
class Kind:
    """A kind of object as the server knows it."""

    api_version: str
    kind: str
    plural: str
    namespaced: bool


class Kube:
    """One cluster. Threads may share it."""

    def __init__(self, server: str, token: str, authority: str) -> None:
        """authority: path of the certificate that the server's is checked with."""
        self._server = server
        self._pool = urllib3.PoolManager(
            maxsize=32,
            block=False,
            ca_certs=authority,
            cert_reqs="CERT_REQUIRED",
            headers={"authorization": f"Bearer {token}"},
            retries=False,
        )
        self._kinds: dict[str, dict[str, Kind]] = {}
        self._lock = threading.Lock()

    # --- Requests -----------------------------------------------------------------------------------------------------

    def request(
        self,
        method: str,
        path: str,
        body: Object | None = None,
        *,
        content_type: str = JSON,
        query: Mapping[str, str] | None = None,
        timeout: float = _TIMEOUT,
    ) -> Any:
        """The server's answer as data; as text where it is not JSON. Raises ApiError."""
        response = self.send(method, path, body, content_type=content_type, query=query, timeout=timeout)
        data = response.data
        if response.status >= 400:
            raise error_of(response.status, data)
        return json.loads(data) if data[:1] in (b"{", b"[") else data.decode(errors="replace")

    def send(
        self,
        method: str,
        path: str,
        body: Object | None,
        *,
        content_type: str = JSON,
        query: Mapping[str, str] | None = None,
        timeout: float,
        stream: bool = False,
    ) -> urllib3.BaseHTTPResponse:
        """The server's answer as it comes. Raises UnreachableError."""
        url = f"{self._server}{path}" + (f"?{urlencode(query)}" if query else "")
        headers = {**self._pool.headers, "content-type": content_type, "accept": JSON}
        try:
            return self._pool.request(
                method,
                url,
                body=json.dumps(body) if body is not None else None,
                headers=headers,
                timeout=urllib3.Timeout(connect=5.0, read=timeout),
                preload_content=not stream,
            )
        except urllib3.exceptions.HTTPError as error:
            raise UnreachableError(_why_unreachable(error)) from error

    def ready(self) -> bool:
        """Whether the server answers and is ready."""
        try:
            return str(self.request("GET", "/readyz", timeout=3.0)).strip() == "ok"
        except ApiError:
            return False

    # --- Kinds --------------------------------------------------------------------------------------------------------

    def kind(self, api_version: str, kind: str) -> Kind:
        """Look a kind up. Raises ApiError (404) when the server does not have it."""
        known = self._kinds.get(api_version, {})
        if kind not in known:
            known = self._discover(api_version)
        if kind not in known:
            raise NoKindError(f"the server has no {kind} in {api_version}")
        return known[kind]

    def _discover(self, api_version: str) -> dict[str, Kind]:
        root = "/api/" if "/" not in api_version else "/apis/"
        try:
            found = self.request("GET", f"{root}{api_version}")["resources"]
        except ApiError as error:
            if error.status == 404:
                raise NoKindError(f"the server has no {api_version}") from error
            raise
        kinds = {
            entry["kind"]: Kind(api_version, entry["kind"], entry["name"], entry["namespaced"])
            for entry in found
            if "/" not in entry["name"]
        }
        with self._lock:
            self._kinds[api_version] = kinds
        return kinds

    def forget(self, api_version: str) -> None:
        """Look the kinds of an API version up again when they are next asked for."""
        with self._lock:
            self._kinds.pop(api_version, None)

    def path(self, api_version: str, kind: str, name: str = "", namespace: str | None = None) -> str:
        """Path of an object, or of the collection. A namespaced collection without namespace is that of all."""
        known = self.kind(api_version, kind)
        path = ("/api/" if "/" not in api_version else "/apis/") + api_version
        if known.namespaced and (namespace or name):
            path += f"/namespaces/{quote(namespace or 'default')}"
        return f"{path}/{known.plural}" + (f"/{quote(name)}" if name else "")

    def path_of(self, obj: Object) -> str:
        """Path of an object as it stands in a manifest."""
        metadata = obj["metadata"]
        return self.path(obj["apiVersion"], obj["kind"], metadata["name"], metadata.get("namespace"))

    # --- Objects ------------------------------------------------------------------------------------------------------

    def apply(self, obj: Object, *, subresource: str = "", manager: str = FIELD_MANAGER) -> Object:
        """Server-side apply, as Pulumi's Kubernetes provider does it."""
        path = self.path_of(obj) + (f"/{subresource}" if subresource else "")
        answer: Object = self.request(
            "PATCH", path, obj, content_type=APPLY, query={"fieldManager": manager, "force": "true"}
        )
        return answer

    def create(self, obj: Object) -> Object:
        """Create an object; `generateName` works."""
        metadata = obj["metadata"]
        path = self.path(obj["apiVersion"], obj["kind"])
        if self.kind(obj["apiVersion"], obj["kind"]).namespaced:
            head, _, plural = path.rpartition("/")
            path = f"{head}/namespaces/{metadata.get('namespace', 'default')}/{plural}"
        answer: Object = self.request("POST", path, obj)
        return answer

    def get(self, api_version: str, kind: str, name: str, namespace: str | None = None) -> Object | None:
        """An object; None when there is none, or no such kind."""
        try:
            answer: Object = self.request("GET", self.path(api_version, kind, name, namespace))
        except ApiError as error:
            if error.status == 404:
                return None
            raise
        return answer

    def list(
        self,
        api_version: str,
        kind: str,
        namespace: str | None = None,
        *,
        labels: str = "",
        fields: str = "",
    ) -> list[Object]:
        """All objects of a kind; none when there is no such kind."""
        query = {key: text for key, text in (("labelSelector", labels), ("fieldSelector", fields)) if text}
        try:
            path = self.collection(api_version, kind, namespace)
            items: list[Object] = self.request("GET", path, query=query)["items"]
        except ApiError as error:
            if error.status == 404:
                return []
            raise
        return items

    def patch(self, obj: Object, change: Object, *, subresource: str = "") -> Object:
        """JSON merge patch on an object that is given as manifest."""
        path = self.path_of(obj) + (f"/{subresource}" if subresource else "")
        answer: Object = self.request("PATCH", path, change, content_type=MERGE)
        return answer

    def delete(
        self, api_version: str, kind: str, name: str, namespace: str | None = None, *, grace: int | None = None
    ) -> bool:
        """Delete an object in the background; False when there was none. grace: seconds."""
        options: Object = {"propagationPolicy": "Background"}
        if grace is not None:
            options["gracePeriodSeconds"] = grace
        try:
            self.request("DELETE", self.path(api_version, kind, name, namespace), options)
        except ApiError as error:
            if error.status == 404:
                return False
            raise
        return True

    def collection(self, api_version: str, kind: str, namespace: str | None) -> str:
        """Path of all objects of a kind, in a namespace or in all of them."""
        path = self.path(api_version, kind)
        if namespace:
            head, _, plural = path.rpartition("/")
            path = f"{head}/namespaces/{quote(namespace)}/{plural}"
        return path


def _why_unreachable(error: urllib3.exceptions.HTTPError) -> str:
    """In words: urllib3's own are an address and the names of classes."""
    match error:
        case urllib3.exceptions.SSLError() if "not yet valid" in str(error) or "expired" in str(error):
            return "its certificate is not valid at this time: is this machine's clock right?"
        case urllib3.exceptions.SSLError():
            return "its certificate is not the one in `pki/ca.crt`"
        case urllib3.exceptions.NewConnectionError():  # also a kind of timeout, for urllib3
            return "nobody listens"
        case urllib3.exceptions.TimeoutError():
            return "no answer in time"
        case _:
            return "the connection broke"


def error_of(status: int, data: bytes) -> ApiError:
    """What an answer with such a status and body means."""
    try:
        answer = json.loads(data)
        return ApiError(status, answer.get("reason") or str(status), answer.get("message") or str(answer))
    except json.JSONDecodeError:
        return ApiError(status, str(status), data.decode(errors="replace").strip() or f"HTTP {status}")


def wait_until_ready(kube: Kube, seconds: float, look: Callable[[], None] = lambda: None) -> bool:
    """Wait for the server; False when it is not ready in time. look: called all the while; what it raises ends it."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        look()
        if kube.ready():
            return True
        time.sleep(0.05)
    return False
