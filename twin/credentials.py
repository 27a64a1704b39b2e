"""Keys and certificates of a twin's control plane, and the kubeconfig that goes with them."""

from __future__ import annotations

import base64
import contextlib
import datetime
import ipaddress
from pathlib import Path
from typing import Any

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from twin.errors import TwinError
from twin.state import Run, TwinState, load_run, twins, write_text

_VALID = datetime.timedelta(days=365)


def write_credentials(state: TwinState, token: str) -> None:
    """Make what the API server and its clients need, unless it is there."""
    if (state.pki / "tokens.csv").exists():
        return
    now = datetime.datetime.now(datetime.UTC)
    authority_key, server_key, accounts_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(3))
    authority_name = _name("slices twin")
    authority = (
        _certificate(authority_name, authority_name, authority_key.public_key(), now)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(authority_key, hashes.SHA256())
    )
    server = (
        _certificate(_name("kube-apiserver"), authority_name, server_key.public_key(), now)
        .add_extension(
            x509.SubjectAlternativeName(
                [
                    x509.IPAddress(ipaddress.IPv4Address("127.0.0.1")),
                    x509.DNSName("localhost"),
                    x509.DNSName("kubernetes.default.svc"),
                ]
            ),
            critical=False,
        )
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    write_text(state.pki / "ca.crt", _pem(authority))
    write_text(state.pki / "apiserver.crt", _pem(server))
    write_text(state.pki / "apiserver.key", _private(server_key))
    write_text(state.pki / "accounts.key", _private(accounts_key))
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


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _certificate(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: datetime.datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))
        .not_valid_after(now + _VALID)
    )


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _private(key: ec.EllipticCurvePrivateKey) -> str:
    # "EC PRIVATE KEY": from the general form the API server does not derive the public key of its accounts.
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    ).decode()
