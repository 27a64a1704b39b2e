"""Keys and certificates of a twin's control plane, and the kubeconfig that goes with them."""

from __future__ import annotations

import base64
import contextlib
from pathlib import Path
from typing import Any

import trustme
import yaml

from twin.errors import TwinError
from twin.machine.state import Run, TwinState, load_run, twins, write_text


def write_credentials(state: TwinState, token: str) -> None:
    """Make what the API server and its clients need, unless it is there."""
    if (state.pki / "tokens.csv").exists():
        return
    authority = trustme.CA(organization_name="slices twin", path_length=0)
    server = authority.issue_cert(
        "127.0.0.1",
        "localhost",
        "kubernetes.default.svc",
        common_name="kube-apiserver",
        organization_name="slices twin",
    )
    write_text(state.pki / "ca.crt", _text(authority.cert_pem))
    write_text(state.pki / "apiserver.crt", _text(server.cert_chain_pems[0]))
    write_text(state.pki / "apiserver.key", _text(server.private_key_pem))
    # Signs the tokens of service accounts: a pair of keys that certifies nothing else.
    write_text(state.pki / "accounts.key", _text(trustme.CA().private_key_pem))
    # Last: its presence says that everything is.
    write_text(state.pki / "tokens.csv", f'{token},slices,slices,"system:masters"\n')


def write_kubeconfig(state: TwinState, run: Run) -> None:
    """Write the twin's own kubeconfig, and the common one of all twins, in which this twin is the current one."""
    write_text(state.kubeconfig, yaml.safe_dump(kubeconfig([(state, run)]), sort_keys=False))
    write_common_kubeconfig(state.root, current=state.stack)


def write_common_kubeconfig(root: Path, current: str | None = None) -> None:
    """Write `.twin/kubeconfig` with a context `twin-<stack>` per twin; remove it when there is no twin."""
    running = []
    for state in twins(root):
        # One that is damaged, or on its way out, is no reason why another should not start or end.
        with contextlib.suppress(TwinError):
            if (run := load_run(state)) and state.kubeconfig.exists() and (state.pki / "ca.crt").exists():
                running.append((state, run))
    path = root / "kubeconfig"
    if not running:
        path.unlink(missing_ok=True)
        return
    write_text(path, yaml.safe_dump(kubeconfig(running, current), sort_keys=False))


def write_impersonating_kubeconfig(state: TwinState, run: Run, path: Path, user: str, groups: list[str]) -> None:
    """Write a kubeconfig that acts as somebody else, with that one's rights and no more."""
    config = kubeconfig([(state, run)])
    config["users"][0]["user"] |= {"as": user, "as-groups": groups}
    write_text(path, yaml.safe_dump(config, sort_keys=False))


def kubeconfig(running: list[tuple[TwinState, Run]], current: str | None = None) -> dict[str, Any]:
    """A kubeconfig for some twins; the last one is current unless another is named."""
    clusters, users, contexts = [], [], []
    for state, run in running:
        name = f"twin-{state.stack}"
        authority = base64.b64encode((state.pki / "ca.crt").read_bytes()).decode()
        clusters.append({"name": name, "cluster": {"server": run.server, "certificate-authority-data": authority}})
        users.append({"name": name, "user": {"token": run.token}})
        contexts.append({"name": name, "context": {"cluster": name, "user": name}})
    stack = current if current in {state.stack for state, _ in running} else running[-1][0].stack
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": clusters,
        "users": users,
        "contexts": contexts,
        "current-context": f"twin-{stack}",
    }


def _text(pem: trustme.Blob) -> str:
    return pem.bytes().decode("ascii")
