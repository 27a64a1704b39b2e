"""Reads a cluster through a kubeconfig, with `kubectl get --raw` alone: each call is one GET, and nothing else is sent.

kubectl knows every way in that a kubeconfig may name: EKS' tokens by the aws command, SSO, proxies, certificates.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

from adopt.export import minor_version
from adopt.objects import Objects, at, containers_of, listed, wanted

#: Objects in one answer, and seconds for it.
_PAGE: Final = 2_000
_SECONDS: Final = 120
_AT_ONCE: Final = 6

#: Groups (empty: the core's) and plurals of what is listed; ConfigMaps follow where a device plugin lives.
_LISTED: Final = (
    ("", "nodes", ""),
    ("", "pods", "fieldSelector=status.phase!%3DSucceeded,status.phase!%3DFailed"),
    ("apps", "deployments", ""),
    ("apps", "daemonsets", ""),
    ("karpenter.sh", "nodepools", ""),
    ("karpenter.sh", "nodeoverlays", ""),
    ("karpenter.sh", "provisioners", ""),
    ("karpenter.k8s.aws", "ec2nodeclasses", ""),
    ("karpenter.k8s.aws", "awsnodetemplates", ""),
    ("eks.amazonaws.com", "nodeclasses", ""),
    ("nvidia.com", "clusterpolicies", ""),
    ("resource.k8s.io", "deviceclasses", ""),
    ("resource.k8s.io", "resourceclaims", ""),
    ("resource.k8s.io", "resourceclaimtemplates", ""),
    ("operator.knative.dev", "knativeservings", ""),
    ("admissionregistration.k8s.io", "validatingadmissionpolicies", ""),
    ("admissionregistration.k8s.io", "validatingwebhookconfigurations", ""),
    ("kyverno.io", "clusterpolicies", ""),
    ("templates.gatekeeper.sh", "constrainttemplates", ""),
)
#: Of which version where the group has several: overlays are alpha, and so is what Karpenter had before 0.32.
_VERSIONS: Final[Mapping[str, str]] = {
    "nodeoverlays": "v1alpha1",
    "provisioners": "v1alpha5",
    "awsnodetemplates": "v1alpha1",
}


class ClusterError(RuntimeError):
    """The cluster cannot be asked; the text says why, and what to do."""


@dataclass(frozen=True, kw_only=True)
class Access:
    """Which cluster: as kubectl's options of the same names. Empty: its own choice."""

    kubeconfig: str = ""
    context: str = ""

    @property
    def options(self) -> list[str]:
        """Options of kubectl."""
        file = [f"--kubeconfig={self.kubeconfig}"] if self.kubeconfig else []
        return [*file, *([f"--context={self.context}"] if self.context else [])]


def read_cluster(access: Access) -> Objects:
    """What a cluster holds. Raises ClusterError where it does not answer at all; what it refuses is in `unseen`."""
    if shutil.which("kubectl") is None:
        raise ClusterError(
            "kubectl is not on this machine: install it, or export elsewhere and give --from DIR (docs/adopting.md)"
        )
    objects = Objects(names=_names(access))
    try:
        objects.kubernetes = minor_version(str(_get(access, "/version").get("gitVersion", "")))
        groups = {str(each.get("name")): each for each in listed(_get(access, "/apis").get("groups"))}
    except _RefusedError as error:
        raise ClusterError(f"the cluster does not answer: {error}") from error
    objects.groups = set(groups)
    asked = [(_path(groups, group, plural), plural, query) for group, plural, query in _LISTED]
    _collect(access, [each for each in asked if each[0]], objects)
    # Configurations lie beside the plugin; nobody needs all ConfigMaps of a cluster.
    spaces = {str(at(each, "metadata").get("namespace")) for each in objects.of("DaemonSet") if _is_plugin(each)}
    spaces |= {"gpu-operator"} & {str(at(each, "metadata").get("namespace")) for each in objects.of("Pod")}
    _collect(access, [(f"/api/v1/namespaces/{each}/configmaps", "configmaps", "") for each in sorted(spaces)], objects)
    return objects


def _is_plugin(daemon_set: Mapping[str, Any]) -> bool:
    return any("nvidia" in str(each.get("image")) for each in containers_of(daemon_set))


def _path(groups: Mapping[str, Mapping[str, Any]], group: str, plural: str) -> str:
    if not group:
        return f"/api/v1/{plural}"
    if group not in groups:
        return ""
    preferred = at(groups[group], "preferredVersion").get("version")
    return f"/apis/{group}/{_VERSIONS.get(plural) or preferred}/{plural}"


def _collect(access: Access, asked: list[tuple[str, str, str]], objects: Objects) -> None:
    """Ask for several kinds at once, and take in what comes, in the order in which they are named."""
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for (_, plural, _), answer in zip(asked, pool.map(lambda each: _all(access, each), asked), strict=True):
            items, refused = answer
            if refused and refused.absent:
                objects.absent.add(plural)
            elif refused:
                objects.unseen.append(f"{plural}: {refused}")
            for item in items:
                kind = str(item.get("kind"))
                objects.counts[kind] += 1
                if wanted(kind, json.dumps(item)):
                    objects.add(item)


def _all(access: Access, asked: tuple[str, str, str]) -> tuple[list[dict[str, Any]], _RefusedError | None]:
    """All objects of a collection, and why there may be more."""
    path, _, query = asked
    found: list[dict[str, Any]] = []
    try:
        found += _pages(access, path, query)
    except _RefusedError as refused:
        return found, refused
    return found, None


def _pages(access: Access, path: str, query: str) -> Iterator[dict[str, Any]]:
    further = ""
    while True:
        words = [f"limit={_PAGE}", *([query] if query else []), *([f"continue={further}"] if further else [])]
        answer = _get(access, f"{path}?{'&'.join(words)}")
        kind = str(answer.get("kind", "")).removesuffix("List")
        own = {"apiVersion": answer.get("apiVersion"), "kind": kind}
        yield from ({**own, **item} for item in listed(answer.get("items")))
        further = str(at(answer, "metadata").get("continue") or "")
        if not further:
            return


class _RefusedError(Exception):
    """kubectl did not get an answer. absent: the server says that there is no such thing."""

    def __init__(self, why: str, *, absent: bool = False) -> None:
        super().__init__(why)
        self.absent = absent


def _get(access: Access, path: str) -> dict[str, Any]:
    """One GET. Raises _RefusedError."""
    said = _kubectl(access, "get", f"--raw={path}", f"--request-timeout={_SECONDS}s")
    try:
        found = json.loads(said)
    except (ValueError, RecursionError) as error:
        raise _RefusedError("its answer is no JSON") from error
    if not isinstance(found, dict):
        raise _RefusedError("its answer is no object")
    return found


def _kubectl(access: Access, *words: str) -> str:
    try:
        done = subprocess.run(
            ["kubectl", *access.options, *words],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            timeout=_SECONDS + 10,
        )
    except (OSError, ValueError) as error:
        raise _RefusedError(f"kubectl does not start ({error})") from error
    except subprocess.TimeoutExpired as error:
        raise _RefusedError(f"no answer within {_SECONDS} s") from error
    if done.returncode == 0:
        return done.stdout.decode(errors="replace")
    lines = [line.strip() for line in done.stderr.decode(errors="replace").splitlines() if line.strip()]
    # klog's lines begin with a letter and a date; kubectl's own word is the last.
    told = [line for line in lines if not re.match(r"[EIW]\d{4} ", line)] or lines or ["kubectl said nothing"]
    # Hints follow on further lines, addresses of documents among them.
    first = next((line for line in told if line.startswith(_OWN_WORDS)), told[-1])
    why = first.removeprefix("error: ").removeprefix("Error from server ")
    raise _RefusedError(why, absent="(NotFound)" in first)


#: How kubectl begins what it has to say.
_OWN_WORDS: Final = ("error: ", "Error ", "Unable to connect")


#: Names that EKS gives API servers, and what `aws eks update-kubeconfig` calls clusters.
_SERVER: Final = re.compile(r"https://[^/]+\.([a-z]{2}(?:-[a-z]+)+-\d)\.eks\.amazonaws\.com")
_ARN: Final = re.compile(r"arn:aws[a-z-]*:eks:([a-z0-9-]+):\d{12}:cluster/([\w-]+)")


def _names(access: Access) -> Mapping[str, str]:
    """Name and region of the cluster, as far as the kubeconfig tells. Asks nobody but kubectl."""
    try:
        config = json.loads(_kubectl(access, "config", "view", "--minify", "--output=json"))
    except (_RefusedError, ValueError) as error:
        way = "name one with --kubeconfig and --context, or give --from DIR"
        raise ClusterError(f"the kubeconfig does not do: {error}; {way}") from error
    cluster = next(iter(listed(at(config).get("clusters"))), {})
    user = next(iter(listed(at(config).get("users"))), {})
    found: dict[str, str] = {}
    if server := _SERVER.match(str(at(cluster, "cluster").get("server", ""))):
        found["region"] = server[1]
    if arn := _ARN.fullmatch(str(cluster.get("name", ""))):
        found |= {"region": arn[1], "cluster": arn[2]}
    words = [str(word) for word in at(user, "user", "exec").get("args") or []]
    for option, key in (("--region", "region"), ("--cluster-name", "cluster"), ("-i", "cluster")):
        if option in words[:-1]:
            found.setdefault(key, words[words.index(option) + 1])
    return found
