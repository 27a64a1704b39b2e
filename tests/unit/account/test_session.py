"""Asking AWS: what is there, what is not, and what nobody could see are three things."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from account import session
from account.session import Absent, Account, Found, Unseen, public_address
from tests.unit.account.world import ACCOUNT, ApiError, World, fail, world

ROOT = Path(__file__).parents[3]


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    with world(monkeypatch) as made:
        yield made


def test_boto3_is_loaded_only_to_ask() -> None:
    code = (
        "import sys, account.session, account.preflight\n"
        "assert not {'boto3', 'botocore', 'jmespath'} & set(sys.modules), sorted(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_all_pages_are_one_answer(account: World) -> None:
    pages: dict[str | None, dict[str, Any]] = {
        None: {"Aliases": [{"AliasName": "alias/a"}], "Truncated": True, "NextMarker": "m"},
        "m": {"Aliases": [{"AliasName": "alias/b"}], "Truncated": False},
    }
    account.planted["kms:ListAliases"] = lambda parameters: pages[parameters.get("Marker")]
    assert account.collect("kms", "list_aliases", "Aliases[].AliasName") == Found(["alias/a", "alias/b"])


def test_a_list_that_breaks_off_is_no_list(account: World) -> None:
    def answer(parameters: Any) -> dict[str, Any]:
        if "Marker" in parameters:
            raise ApiError("ThrottlingException")
        return {"Aliases": [{"AliasName": "alias/a"}], "Truncated": True, "NextMarker": "m"}

    account.planted["kms:ListAliases"] = answer
    found = account.collect("kms", "list_aliases", "Aliases[].AliasName")
    assert isinstance(found, Unseen)
    assert found.cause == "throttled"


def test_absent_is_only_what_the_asker_calls_so(account: World) -> None:
    codes = {"absent": ["NoSuchEntity"], "not asked for": []}
    answers = {name: account.ask("iam", "get_role", absent=absent, RoleName="nobody") for name, absent in codes.items()}
    assert answers["absent"] == Absent()
    assert isinstance(answers["not asked for"], Unseen)


def test_nothing_in_a_list_is_an_empty_list(account: World) -> None:
    assert account.collect("eks", "list_clusters", "clusters[]") == Found([])


@pytest.mark.parametrize("code", sorted(session._THROTTLED | session._DENIED | session._CREDENTIALS))
def test_every_known_code_is_told_by_its_cause(account: World, code: str) -> None:
    account.planted["ec2:DescribeVpcs"] = fail(ApiError(code))
    answer = account.ask("ec2", "describe_vpcs")
    assert isinstance(answer, Unseen)
    assert answer.cause != "refused"
    assert answer.permission == "ec2:DescribeVpcs"
    assert code in answer.detail


def test_botocore_retries_what_we_call_throttled() -> None:
    from botocore.retries.standard import ThrottledRetryableChecker  # noqa: PLC0415

    assert frozenset(ThrottledRetryableChecker._THROTTLED_ERROR_CODES) == session._THROTTLED


def test_the_caller_is_known(account: World) -> None:
    answer = account.identity()
    assert isinstance(answer, Found)
    assert answer.value.account == ACCOUNT
    assert answer.value.partition == "aws"


def test_a_profile_that_is_not_there_is_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    account = Account("us-east-1")
    assert account.has_credentials()
    answer = account.identity()
    assert isinstance(answer, Unseen)
    assert answer.cause == "credentials"
    assert "nobody" in answer.detail


def test_without_credentials_there_are_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    assert not Account("us-east-1").has_credentials()


@pytest.mark.parametrize(
    ("region", "home"),
    [("eu-south-1", "us-east-1"), ("cn-northwest-1", "cn-north-1"), ("us-gov-east-1", "us-gov-west-1")],
)
def test_global_services_live_at_home(region: str, home: str) -> None:
    assert Account(region).home_region == home


# --- Address ----------------------------------------------------------------------------------------------------------


def answers(text: str) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize(("text", "known"), [("18.32.7.9\n", True), ("<html>log in first</html>", False)])
def test_the_address_is_what_aws_sees(monkeypatch: pytest.MonkeyPatch, text: str, known: bool) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    for url in answers(text):
        monkeypatch.setattr(session, "ADDRESS_SERVICE", url)
        answer = public_address()
    assert answer == Found("18.32.7.9") if known else isinstance(answer, Unseen)


def test_an_address_that_nobody_tells_is_not_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(session, "ADDRESS_SERVICE", "http://127.0.0.1:9")
    answer = public_address()
    assert isinstance(answer, Unseen)
    assert answer.cause == "unreachable"
