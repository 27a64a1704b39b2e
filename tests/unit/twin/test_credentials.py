"""Certificates of a twin: what its clients trust, and what its API server shows them."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from twin.machine.credentials import write_credentials
from twin.machine.state import TwinState


@pytest.fixture
def state(tmp_path: Path) -> TwinState:
    made = TwinState(tmp_path / ".twin", "local")
    made.pki.mkdir(parents=True)
    write_credentials(made, "secret")
    return made


def shake_hands(server: ssl.SSLContext, client: ssl.SSLContext, name: str) -> None:
    """Raises ssl.SSLError where the client does not take the server for what it calls it."""
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        client.wrap_bio(back, there, server_hostname=name),
        server.wrap_bio(there, back, server_side=True),
    ]
    for _ in range(3):
        for end in ends:
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
    assert all(end.version() for end in ends)


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost", "kubernetes.default.svc"])
def test_clients_trust_the_api_server_under_its_names(state: TwinState, name: str) -> None:
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(state.pki / "apiserver.crt", state.pki / "apiserver.key")
    shake_hands(server, ssl.create_default_context(cafile=state.pki / "ca.crt"), name)
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(server, ssl.create_default_context(cafile=state.pki / "ca.crt"), "example.com")
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(server, ssl.create_default_context(), name)


def test_they_are_its_owners_and_made_once(state: TwinState) -> None:
    before = {path.name: path.read_text(encoding="ascii") for path in state.pki.iterdir()}
    assert set(before) == {"accounts.key", "apiserver.crt", "apiserver.key", "ca.crt", "tokens.csv"}
    assert {path.stat().st_mode & 0o777 for path in state.pki.iterdir()} == {0o600}
    # From the general form the API server does not derive the public key of its accounts.
    assert before["accounts.key"].startswith("-----BEGIN EC PRIVATE KEY-----")
    assert before["accounts.key"] != before["apiserver.key"]
    write_credentials(state, "another")
    assert {path.name: path.read_text(encoding="ascii") for path in state.pki.iterdir()} == before
