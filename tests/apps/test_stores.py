"""What every store of conversations promises, of each: SQLite's file, and a table of DynamoDB (moto's)."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import boto3
import pytest
from botocore.client import BaseClient

from components.serving import conversation_table
from dialogue import dynamodb as dynamodb_store
from dialogue.dynamodb import DynamoStore
from dialogue.log import Log, Piece
from dialogue.sqlite import SqliteStore
from dialogue.store import HeldError, Row, Store, StoreError
from tests.plan.variants import varied

ME, OTHER = "me", "other"
TABLE_VARIANT = "conversations in a table"


@pytest.fixture(params=["file", "table"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    if request.param == "file":
        return SqliteStore(tmp_path / "talks.sqlite")
    return DynamoStore(request.getfixturevalue("dynamodb")("talks"))


def row(identifier: str = "a", **values: object) -> Row:
    facts = {"topic": "wind \ud83d", "began": "2026-11-29"}
    standard = {"state": "running", "reason": "", "complete": 1, "ran": 0.1, "changed": 100.25, "last": 2}
    held = {"holder": ME, "until": 110.5}
    return Row(id=identifier, **{"owner": "ann", "facts": facts, **standard, **held, **values})  # type: ignore[arg-type]


FIRST = Piece(1, [("turn", {"turn": 1}), "wind"])


def test_what_is_saved_is_read(store: Store) -> None:
    assert store.row("a") is None
    assert store.rows("ann") == []
    assert store.pieces("a") == []
    store.save(row(), [FIRST], 0, ME, 100)
    second = Piece(5, ["lone \ud83d", ("state", {"state": "finished"})])
    store.save(row(last=6, holder=None, until=0.0, state="finished"), [second], 2, ME, 101)
    assert store.row("a") == row(last=6, holder=None, until=0.0, state="finished")
    assert store.pieces("a") == [FIRST, second]
    assert store.pieces("a", 2) == [second]
    store.save(row("b", changed=200.0), [FIRST], 0, ME, 100)
    store.save(row("c", owner="bob"), [FIRST], 0, ME, 100)
    assert [found.id for found in store.rows("ann")] == ["b", "a"]
    store.probe()
    assert [found.id for found in store.rows("ann")] == ["b", "a"]


def test_only_its_holder_writes_and_only_what_comes_next(store: Store) -> None:
    with pytest.raises(KeyError):
        store.save(row(), [FIRST], 2, ME, 100)
    store.save(row(), [FIRST], 0, ME, 100)
    third = [Piece(3, ["x"])]
    with pytest.raises(HeldError):
        store.save(row(holder=OTHER, last=3), third, 2, OTHER, 110)
    with pytest.raises(HeldError):
        store.save(row(last=3), third, 1, ME, 100)
    with pytest.raises(HeldError):
        store.save(row(last=3), [FIRST], 0, ME, 100)
    assert (store.row("a"), store.pieces("a")) == (row(), [FIRST])
    store.save(row(holder=OTHER, last=3, until=200.0), third, 2, OTHER, 111)
    with pytest.raises(HeldError):
        store.save(row(last=4), [Piece(4, ["y"])], 3, ME, 112)


def test_who_holds_it(store: Store) -> None:
    assert not store.claim("a", ME, 110, 100)
    store.save(row(), [FIRST], 0, ME, 100)
    assert not store.claim("a", OTHER, 120, 109)
    assert store.claim("a", ME, 111, 109)
    store.renew(ME, 115)
    store.renew(OTHER, 999)
    found = store.row("a")
    assert found
    assert (found.holder, found.until) == (ME, 115)
    assert not store.claim("a", OTHER, 120, 114)
    assert store.claim("a", OTHER, 120, 115)


def test_what_was_interrupted(store: Store) -> None:
    store.save(row("dead"), [FIRST], 0, ME, 100)
    store.save(row("alive", until=150.0), [FIRST], 0, ME, 100)
    store.save(row("told", state="stopped", reason="shutdown", holder=None, until=0.0), [FIRST], 0, ME, 100)
    store.save(row("stopped", state="stopped", reason="person", holder=None, until=0.0), [FIRST], 0, ME, 100)
    assert sorted(store.interrupted(90, 120)) == ["dead", "told"]
    assert store.interrupted(115, 120) == []


def test_what_is_old_goes_whole(store: Store) -> None:
    done = {"state": "finished", "holder": None, "until": 0.0}
    for name in ("old", "spared"):
        store.save(row(name, **done), [FIRST], 0, ME, 100)
    store.save(row("held", until=400.0), [FIRST], 0, ME, 100)
    store.save(row("new", changed=299.0, **done), [FIRST], 0, ME, 100)
    assert store.delete(200, 300, ["spared"]) == ["old"]
    assert (store.row("old"), store.pieces("old")) == (None, [])
    assert {found.id for found in store.rows("ann")} == {"spared", "held", "new"}
    assert store.delete(200, 301, ["spared"]) == []


def test_one_that_is_larger_than_a_transaction(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """As after an outage, or to another table than before: all of it at once."""
    monkeypatch.setattr(dynamodb_store, "_ITEM_CHARS", 2_000)
    monkeypatch.setattr(dynamodb_store, "_TRANSACTION_CHARS", 30_000)
    words = [f"word {number} " for number in range(10_000)]
    large = Piece(1, words)
    behind = Piece(2_000_000, ["x"])
    store.save(row(last=2_000_000), [large, behind], 0, ME, 100)
    assert store.row("a") == row(last=2_000_000)
    log, wanted = Log(), Log()
    log.extend(store.pieces("a"))
    wanted.extend([large, behind])
    assert log.after(0) == wanted.after(0)
    with pytest.raises(HeldError):
        store.save(row(last=2_000_000), [large], 0, ME, 100)


def test_a_table_that_is_not_there_is_told(dynamodb: Callable[[str], str]) -> None:
    store = DynamoStore("nothing")
    for ask in (store.probe, lambda: store.rows("ann"), lambda: store.save(row(), [FIRST], 0, ME, 100)):
        with pytest.raises(StoreError, match=r"table nothing of DynamoDB: .*not found"):
            ask()
    dynamodb("nothing")
    store.save(row(), [FIRST], 0, ME, 100)
    assert store.row("a")


def test_a_table_that_does_not_answer_is_given_up_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", "http://127.0.0.1:9")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with pytest.raises(StoreError, match="Could not connect"):
        DynamoStore("talks").probe()


def test_items_of_the_index_are_rows_alone(dynamodb: Callable[[str], str]) -> None:
    store = DynamoStore(dynamodb("talks"))
    store.save(row(), [FIRST], 0, ME, 100)
    store.probe()
    assert conversation_table.OWNER_INDEX == dynamodb_store.OWNER_INDEX
    found = boto3.client("dynamodb").scan(TableName="talks", IndexName=conversation_table.OWNER_INDEX)
    assert [item["id"]["S"] for item in found["Items"]] == ["a"]


def test_the_role_may_do_what_the_application_does_and_no_more(dynamodb: Callable[[str], str]) -> None:
    """The calls that it really makes; a transaction is allowed by what is in it ("IAM for DynamoDB transactions")."""
    made: set[str] = set()
    store = DynamoStore(dynamodb("talks"))
    with store._table() as table:
        client: BaseClient = table.meta.client
        client.meta.events.register("before-call.dynamodb", lambda model, **_: made.add(model.name))
    store.save(row(), [FIRST], 0, ME, 100)
    store.claim("a", ME, 110, 100)
    store.renew(ME, 110)
    store.rows("ann")
    store.row("a")
    store.probe()
    store.interrupted(90, 120)
    assert store.delete(200, 300) == ["a"]
    made = (made - {"TransactWriteItems"}) | {"PutItem"}
    plan = varied(TABLE_VARIANT)
    (policy,) = [each for each in plan.of_type("aws:iam/policy:Policy") if each.name == "conversations"]
    statements = json.loads(policy.inputs["policy"])["Statement"]
    assert set(statements[0]["Action"]) == {f"dynamodb:{name}" for name in made}
    assert statements[1]["Condition"]["StringEquals"]["kms:ViaService"] == f"dynamodb.{plan.region}.amazonaws.com"


def test_the_table_is_as_the_application_wants_it(dynamodb: Callable[[str], str]) -> None:
    (table,) = varied(TABLE_VARIANT).of_type("aws:dynamodb/table:Table")
    made = boto3.client("dynamodb").describe_table(TableName=dynamodb("talks"))["Table"]
    assert {each["name"]: each["type"] for each in table.inputs["attributes"]} == {
        each["AttributeName"]: each["AttributeType"] for each in made["AttributeDefinitions"]
    }
    assert [table.inputs["hashKey"], table.inputs["rangeKey"]] == [each["AttributeName"] for each in made["KeySchema"]]
    (index,) = table.inputs["globalSecondaryIndexes"]
    (of_table,) = made["GlobalSecondaryIndexes"]
    assert [index["hashKey"], index["rangeKey"]] == [each["AttributeName"] for each in of_table["KeySchema"]]
    assert (index["name"], index["projectionType"]) == (of_table["IndexName"], "ALL")
