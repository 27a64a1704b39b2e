"""Who may come in, how often, with what; and what every answer carries."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from dialogue import keys, server, sse
from dialogue.settings import SettingsError, load
from tests.apps import rig
from tests.apps.ollama_double import Double
from tests.apps.rig import KEY, Clock, dialogue, settings
from tests.patience import PATIENCE

pytestmark = pytest.mark.anyio
NEW = "a-new-key-for-tests-0123456789"
OTHER = "another-key-for-tests-0123456789"
TALK = {"topic": "the sea"}


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "keys"
    path.write_text(f"# who may come in\nada:{KEY}\n\nbob: {OTHER}\n")
    return path


def with_keys(key_file: Path | None, url: str = "http://127.0.0.1:9", **limits: Any) -> Any:
    return settings(url, "Ada@tiny-a", "Bob@tiny-b", **limits).model_copy(update={"keys_file": key_file})


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


async def test_only_who_has_a_key_comes_in(key_file: Path) -> None:
    async with dialogue(with_keys(key_file)) as browser:
        assert (await browser.http.get("/api/session")).status_code == 200
        nothing = {"authorization": ""}
        for headers in (nothing, bearer("wrong-key-of-some-length"), bearer(KEY[:-1]), bearer(f"{KEY}x")):
            refused = await browser.http.get("/api/session", headers=headers)
            assert refused.status_code == 401
            assert refused.headers["www-authenticate"] == "Bearer"
            assert KEY not in refused.text
        assert (await browser.http.get("/", headers={"authorization": ""})).status_code == 200, (
            "the page asks for the key"
        )
        assert (await browser.http.get("/healthz", headers={"authorization": ""})).status_code == 200


async def test_only_who_started_a_conversation_steers_it_but_others_may_watch(key_file: Path) -> None:
    async with rig.serving(Double(tokens_per_second=50).app) as url, dialogue(with_keys(key_file, url)) as browser:
        identifier = await browser.start()
        path = f"/api/conversations/{identifier}"
        shown = await browser.http.get(path, headers=bearer(OTHER))
        assert shown.json()["yours"] is False
        for action, body in (("stop", {}), ("resume", {}), ("guests", {"speaker": "Bob"})):
            refused = await browser.http.post(f"{path}/{action}", json=body, headers=bearer(OTHER))
            assert refused.status_code == 403
        assert (await browser.post(identifier, "stop")).status_code == 200
        assert (await browser.http.get("/api/conversations/guess")).status_code == 404


async def test_wrong_keys_are_slowed_and_lock_nobody_out_who_has_a_right_one(key_file: Path) -> None:
    async with dialogue(with_keys(key_file, failures_per_minute=3)) as browser:
        stranger = {"authorization": "Bearer wrong-key-of-some-length"}
        answers = [await browser.http.get("/api/session", headers=stranger) for _ in range(5)]
        assert [each.status_code for each in answers] == [401, 401, 401, 429, 429]
        seconds = int(answers[-1].headers["retry-after"])
        assert seconds >= 1
        words = f"too many wrong keys came from your address: try again in {seconds} s"
        assert answers[-1].json()["error"]["message"] == words
        for key in (KEY, OTHER):
            assert (await browser.http.get("/api/session", headers=bearer(key))).status_code == 200


async def test_wrong_keys_are_counted_for_who_sends_them_behind_as_many_proxies_as_are_trusted(key_file: Path) -> None:
    chosen = with_keys(key_file, failures_per_minute=1).model_copy(update={"trusted_hops": 3})

    async def code(forwarded: str) -> int:
        headers = bearer("wrong-key-of-some-length") | {"x-forwarded-for": forwarded}
        return (await browser.http.get("/api/session", headers=headers)).status_code

    async with dialogue(chosen) as browser:
        assert await code("198.51.100.7, 10.0.0.1, 10.0.0.2") == 401
        assert await code("198.51.100.7, 10.0.0.3, 10.0.0.4") == 429, "whichever proxies it came by"
        assert await code("192.0.2.1, 198.51.100.7, 10.0.0.1, 10.0.0.2") == 429, "whatever it says of itself"
        assert await code("198.51.100.8, 10.0.0.1, 10.0.0.2") == 401
        assert await code("198.51.100.9") == 401, "the connection's own address, where a hop is missing"
        assert await code("198.51.100.10, 10.0.0.1") == 429


async def test_of_ipv6_a_whole_network_of_64_bits_counts_as_one_sender(key_file: Path) -> None:
    """One machine has all addresses of it, and would never meet the limit."""
    chosen = with_keys(key_file, failures_per_minute=1).model_copy(update={"trusted_hops": 1})

    async def code(forwarded: str, key: str = "wrong-key-of-some-length") -> int:
        headers = bearer(key) | {"x-forwarded-for": forwarded}
        return (await browser.http.get("/api/session", headers=headers)).status_code

    async with dialogue(chosen) as browser:
        assert [await code(f"2001:db8::{last:x}") for last in range(3)] == [401, 429, 429]
        assert await code("2001:db8:0:1::1") == 401
        assert await code("2001:db8::1", KEY) == 200
        assert [await code(garbage) for garbage in ("x" * 5000, "x" * 5000, '"; drop')] == [401, 429, 401]


async def test_wrong_keys_from_many_addresses_lock_nobody_out(key_file: Path) -> None:
    chosen = with_keys(key_file).model_copy(update={"trusted_hops": 1})
    async with dialogue(chosen) as browser:

        async def code(address: str, key: str) -> int:
            headers = bearer(key) | {"x-forwarded-for": address}
            return (await browser.http.get("/api/session", headers=headers)).status_code

        wrong = [code(f"198.51.{place % 250}.{place % 7}", f"wrong-key-of-some-length-{place}") for place in range(60)]
        codes = await asyncio.gather(*wrong, *(code("198.51.3.3", each) for each in (KEY, OTHER) * 5))
        assert set(codes[:60]) == {401}
        assert codes[60:] == [200] * 10


async def test_each_key_has_its_own_rate(key_file: Path) -> None:
    async with dialogue(with_keys(key_file, requests_per_minute=3)) as browser:
        codes = [(await browser.http.post("/api/conversations", json={"topic": ""})).status_code for _ in range(5)]
        assert codes == [422, 422, 422, 429, 429]
        other = await browser.http.post("/api/conversations", json={"topic": ""}, headers=bearer(OTHER))
        assert other.status_code == 422


async def test_reading_has_a_rate_too_and_tells_it_in_words(key_file: Path) -> None:
    async with dialogue(with_keys(key_file, reads_per_minute=2)) as browser:
        answers = [await browser.http.get("/api/session") for _ in range(3)]
        assert [each.status_code for each in answers] == [200, 200, 429]
        assert "too many requests came with your key: try again in" in answers[-1].json()["error"]["message"]
        assert (await browser.http.get("/api/session", headers=bearer(OTHER))).status_code == 200


async def test_each_key_has_its_share_of_streams(key_file: Path) -> None:
    async with (
        rig.serving(Double(tokens_per_second=20).app) as url,
        dialogue(with_keys(key_file, url, watchers_per_key=1)) as browser,
    ):
        path = f"/api/conversations/{await browser.start()}/events"
        async with browser.http.stream("GET", path) as first:
            watching = first.aiter_bytes()
            await anext(watching)
            second = await browser.http.get(path)
            assert (second.status_code, second.headers["retry-after"]) == (429, "10")
            words = "1 streams of your key are open: close one, or try again in 10 s"
            assert second.json()["error"]["message"] == words
            async with browser.http.stream("GET", path, headers=bearer(OTHER)) as other:
                assert other.status_code == 200


async def test_a_question_for_the_heads_of_a_stream_is_no_watcher(key_file: Path, clock: Clock) -> None:
    limits = {"watchers_per_key": 1, "unwatched_seconds": 100}
    async with (
        rig.serving(Double(tokens_per_second=20).app) as url,
        dialogue(with_keys(key_file, url, **limits)) as browser,
    ):
        identifier = await browser.start()
        path = f"/api/conversations/{identifier}/events"
        heads = await asyncio.gather(*(browser.http.head(path) for _ in range(3)))
        assert [each.status_code for each in heads] == [200] * 3
        await clock.passes(101)
        assert (await browser.show(identifier))["reason"] == "unwatched"


async def test_a_replaced_key_works_without_a_restart(key_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "_RELOAD_SECONDS", 0)
    async with dialogue(with_keys(key_file)) as browser:
        assert (await browser.http.get("/api/session")).status_code == 200
        fresh = key_file.with_name("fresh")
        fresh.write_text(f"ada:{NEW}\n")
        fresh.replace(key_file)  # as the kubelet does with a mounted Secret
        assert (await browser.http.get("/api/session")).status_code == 401
        assert (await browser.http.get("/api/session", headers=bearer(NEW))).status_code == 200


async def test_keys_change_where_the_kubelet_swaps_a_link_to_the_folder_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mounted Secret: `keys` leads to `..data/keys`, and `..data` to a folder of this version."""
    monkeypatch.setattr(keys, "_RELOAD_SECONDS", 0)

    def mount(version: str, key: str) -> None:
        (tmp_path / version).mkdir()
        (tmp_path / version / "keys").write_text(f"ada:{key}\n")
        (tmp_path / "..data_tmp").symlink_to(version)
        (tmp_path / "..data_tmp").replace(tmp_path / "..data")

    mount("..1", KEY)
    (tmp_path / "keys").symlink_to("..data/keys")
    async with dialogue(with_keys(tmp_path / "keys")) as browser:
        assert (await browser.http.get("/api/session")).status_code == 200
        mount("..2", NEW)
        shutil.rmtree(tmp_path / "..1")
        assert (await browser.http.get("/api/session")).status_code == 401
        assert (await browser.http.get("/api/session", headers=bearer(NEW))).status_code == 200
        (tmp_path / "..data").unlink()
        (tmp_path / "..data").symlink_to("keys")  # a circle
        assert (await browser.http.get("/api/session", headers=bearer(NEW))).status_code == 503


@pytest.mark.parametrize("fault", ["broken", "", "ada:short", b"\xff\xfe", b"a" * (1 << 20), "pipe", "folder", None])
async def test_a_file_of_keys_that_is_wrong_lets_nobody_in_until_it_is_right_again(
    fault: str | bytes | None, key_file: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(keys, "_RELOAD_SECONDS", 0)
    async with dialogue(with_keys(key_file)) as browser:
        assert (await browser.http.get("/api/session")).status_code == 200
        key_file.unlink()
        match fault:
            case "pipe":
                os.mkfifo(key_file)  # whoever opens it waits for its other end
            case "folder":
                key_file.mkdir()
            case str() | bytes():
                key_file.write_bytes(fault if isinstance(fault, bytes) else fault.encode())
        for _ in range(3):
            closed = await browser.http.get("/api/session")
            assert (closed.status_code, closed.json()["error"]["code"]) == (503, "keys")
        assert (await browser.http.get("/healthz")).status_code == 200
        said = [each.getMessage() for each in caplog.records if each.name == "dialogue.keys"]
        assert len(said) == 1, "once, not with every request"
        assert said[0].startswith(f"nobody is let in until the file of keys is right: {key_file}: ")
        key_file.rmdir() if fault == "folder" else key_file.unlink(missing_ok=True)
        key_file.write_text(f"ada:{NEW}")
        assert (await browser.http.get("/api/session", headers=bearer(NEW))).status_code == 200
        assert (await browser.http.get("/api/session")).status_code == 401


async def test_a_key_that_is_taken_away_ends_its_streams_and_no_others(
    key_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keys, "_RELOAD_SECONDS", 0)
    monkeypatch.setattr(sse, "_LOOK_SECONDS", 0.05)
    async with rig.serving(Double(tokens_per_second=5).app) as url, dialogue(with_keys(key_file, url)) as browser:
        path = f"/api/conversations/{await browser.start()}/events"
        async with (
            browser.http.stream("GET", path) as ada,
            browser.http.stream("GET", path, headers=bearer(OTHER)) as bob,
        ):
            ours, theirs = ada.aiter_bytes(), bob.aiter_bytes()
            await anext(ours)
            await anext(theirs)
            key_file.write_text(f"ada:{NEW}\nbob:{OTHER}\n")
            async with asyncio.timeout(PATIENCE):
                async for _ in ours:
                    pass
            await anext(theirs)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.7", "dialogue.example.com"])
def test_without_keys_it_listens_on_loopback_only(host: str, key_file: Path) -> None:
    chosen = with_keys(None).model_copy(update={"host": host})
    with pytest.raises(SettingsError, match="keys_file is needed"):
        server.make(chosen)
    server.make(chosen.model_copy(update={"keys_file": key_file}))


async def test_without_keys_a_page_of_another_site_cannot_use_it() -> None:
    async with dialogue(with_keys(None)) as browser:
        for host in ("evil.example:8080", "localhost.evil.example", "evil@localhost.example", "[", "", "[::2]:80"):
            assert (await browser.http.get("/api/session", headers={"host": host})).status_code in (400, 403), host
        form = await browser.http.post(
            "/api/conversations", content=b'{"topic":"x"}', headers={"content-type": "text/plain"}
        )
        assert form.status_code == 415
        for host in ("localhost:8080", "127.0.0.1", "[::1]:8080", "[::1]"):
            assert (await browser.http.get("/api/session", headers={"host": host})).status_code == 200


async def test_every_answer_has_the_security_headers() -> None:
    async with dialogue(with_keys(None)) as browser:
        for path in ("/", "/page/app.js", "/api/session", "/nothing"):
            headers = (await browser.http.get(path)).headers
            policy = headers["content-security-policy"]
            assert "default-src 'none'" in policy
            assert "unsafe" not in policy
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["cache-control"] in ("no-store", "no-cache")
            assert "server" not in headers
        for path in ("/healthz/", "/api/session/", "/page", "/page/"):
            lost = await browser.http.get(path)
            assert (lost.status_code, lost.headers.get("location")) == (404, None), (
                "nobody is sent to the host it names"
            )
        assert (await browser.http.get("/page/../settings.py")).status_code == 404
        assert (await browser.http.get("/page/%2e%2e/settings.py")).status_code == 404


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ({"topic": "  "}, 422, "a topic is needed"),
        ({"topic": "x" * 2001}, 422, "2001 characters, at most 2000"),
        ({"topic": 7}, 422, "topic"),
        ({"topics": "x"}, 422, "topic"),
        ({**TALK, "turns": 41}, 422, "between 1 and 40"),
        ({**TALK, "turns": -1}, 422, "between 1 and 40"),
        ({**TALK, "speakers": ["Ada"]}, 422, "between 2 and 4"),
        ({**TALK, "speakers": ["Ada", "Ada"]}, 422, "different"),
        ({**TALK, "speakers": ["Ada", "Eve"]}, 422, "no speaker Eve"),
        ({**TALK, "personas": {"Ada": "x" * 601}}, 422, "at most 600"),
        ({**TALK, "personas": {"Eve": "x"}}, 422, "does not take part"),
        ([], 422, "the body"),
    ],
)
async def test_a_wrong_request_is_told_what_is_wrong(body: Any, status: int, words: str) -> None:
    async with dialogue(with_keys(None)) as browser:
        response = await browser.http.post("/api/conversations", json=body)
        assert response.status_code == status
        assert words in response.json()["error"]["message"]


async def test_bodies_are_bounded_whatever_their_length_says() -> None:
    async with dialogue(with_keys(None)) as browser:
        huge = await browser.http.post("/api/conversations", json={"topic": "x" * 100_000})
        assert huge.status_code == 413

        async def chunks() -> Any:
            for _ in range(100):
                yield b" " * 1000

        headers = {"content-type": "application/json"}
        assert (await browser.http.post("/api/conversations", content=chunks(), headers=headers)).status_code == 413
        deep = await browser.http.post("/api/conversations", content=b"[" * 60_000, headers=headers)
        assert deep.status_code == 400


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no key"),
        ("ada", "line 1: write name:key"),
        ("ada:short", "line 1: a key has 20"),
        (f"a:{KEY}\na:{OTHER}", "line 2: a second key named a"),
        (f"a:{KEY} {KEY}", "no spaces"),
    ],
)
def test_a_wrong_file_of_keys_is_told_without_showing_a_key(text: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.write_text(text)
    with pytest.raises(keys.KeysError, match=words) as caught:
        keys.Keys(path)
    assert KEY not in str(caught.value)


def test_keys_may_come_from_the_environment_but_not_from_the_settings_file(tmp_path: Path) -> None:
    speakers = [{"name": name, "model": name, "url": "http://a"} for name in ("a", "b")]
    path = tmp_path / "dialogue.json"
    path.write_text(json.dumps({"speakers": speakers}))
    chosen = load(path, {"DIALOGUE_API_KEYS": f"ada:{KEY},bob:{OTHER}", "DIALOGUE_HOST": "0.0.0.0"})
    assert KEY not in repr(chosen)
    server.make(chosen)
    assert chosen.api_keys
    assert keys.FixedKeys(chosen.api_keys.get_secret_value()).name(OTHER) == "bob"
    path.write_text(json.dumps({"speakers": speakers, "api_keys": KEY}))
    with pytest.raises(SettingsError, match="keep keys out"):
        load(path, {})


def test_all_keys_are_compared_whichever_fits(key_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[bytes] = []

    def compare(one: bytes, other: bytes) -> bool:
        compared.append(one)
        return one == other

    known = keys.Keys(key_file)
    monkeypatch.setattr("hmac.compare_digest", compare)
    assert known.name(KEY) == "ada"
    assert known.name(OTHER) == "bob"
    assert known.name("nobody's") is None
    assert len(compared) == 6


def test_the_rate_comes_back_with_time_and_forgets_old_names() -> None:
    now = [0.0]
    limit = keys.RateLimit(6, clock=lambda: now[0])
    for _ in range(6):
        assert limit.wait("ada") == 0
        limit.take("ada")
    assert limit.wait("ada") == pytest.approx(10)
    assert limit.wait("bob") == 0
    now[0] = 10.0
    assert limit.wait("ada") == 0
    for number in range(20_000):
        limit.take(str(number))
    assert len(limit._buckets) == 10_000
