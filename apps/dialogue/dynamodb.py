"""Conversations outside the process: a table of DynamoDB, in no zone and on no volume.

The table has the keys `id` (text) and `position` (number): position 0 is a conversation's row, every other one a piece
of its log. Its index `owner` (`owner` and `changed`, all attributes) has the rows alone, for pieces have no owner.
Writes are transactions with a condition on the row. What is listed by the index may be a moment old; what is decided by
it is asked once more where it is written.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from decimal import Decimal
from typing import Any, Final

import boto3
from boto3.dynamodb.conditions import Attr, ConditionBase, Key
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from typing_extensions import override

from dialogue.log import Entry, Piece
from dialogue.store import HeldError, Row, Store, StoreError, entry

#: Name of the index of rows.
OWNER_INDEX: Final = "owner"
#: Characters of JSON, which is ASCII, in one item and in one transaction: of 400 KB and 4 MB (DynamoDB Developer Guide,
#: "Quotas"), with room for the row; and items of the log in one transaction, of 100.
_ITEM_CHARS: Final = 300_000
_TRANSACTION_CHARS: Final = 3_000_000
_TRANSACTION_ITEMS: Final = 99
#: Writes are made on the event loop: nobody may see what is not kept yet. So they are given up soon. Seconds.
_CONFIG: Final = Config(connect_timeout=1, read_timeout=2, retries={"total_max_attempts": 2, "mode": "standard"})
#: A deletion takes less, and the next one comes later. Seconds.
_DELETION_SECONDS: Final = 60.0


class DynamoStore(Store):
    """The table: a `dialogue.store.Store`. Region and credentials come from the environment, as AWS' SDK has it."""

    def __init__(self, table: str) -> None:
        self._name = table
        self._opened: Any = None

    @override
    def close(self) -> None:
        self._opened = None

    @override
    def save(self, row: Row, pieces: Sequence[Piece], after: int, writer: str, now: float) -> None:
        batches = list(_batches(list(_items(row.id, pieces))))
        with self._table() as table:
            for number, batch in enumerate(batches, 1):
                last = row.last if number == len(batches) else batch[-1][1]
                self._write(table, row._replace(last=last), [item for item, _ in batch], after, writer, now)
                after = last

    @override
    def claim(self, identifier: str, holder: str, until: float, now: float) -> bool:
        free = Attr("holder").not_exists() | Attr("holder").eq(holder) | Attr("until").lte(_number(now))
        return self._hold(identifier, holder, until, Attr("id").exists() & free)

    @override
    def renew(self, holder: str, until: float) -> None:
        for row in self._listed(Attr("holder").eq(holder)):
            self._hold(row.id, holder, until, Attr("holder").eq(holder))

    @override
    def interrupted(self, since: float, now: float) -> list[str]:
        ran = Attr("state").eq("running") & Attr("until").gt(_number(since)) & Attr("until").lte(_number(now))
        ended = Attr("state").eq("stopped") & Attr("reason").eq("shutdown") & Attr("changed").gt(_number(since))
        return [row.id for row in self._listed(ran | ended)]

    @override
    def probe(self) -> None:
        with self._table() as table:
            table.put_item(Item={"id": "probe", "position": 0})  # without an owner: no row

    @override
    def row(self, identifier: str) -> Row | None:
        with self._table() as table:
            found = table.get_item(Key=_key(identifier), ConsistentRead=True).get("Item")
            return _read(found) if found else None

    @override
    def rows(self, owner: str) -> list[Row]:
        with self._table() as table:
            asked = {"IndexName": OWNER_INDEX, "KeyConditionExpression": Key("owner").eq(owner)}
            return [_read(item) for item in _all(table.query, **asked, ScanIndexForward=False)]

    @override
    def pieces(self, identifier: str, after: int = 0) -> list[Piece]:
        with self._table() as table:
            behind = Key("id").eq(identifier) & Key("position").gt(after)
            found = _all(table.query, KeyConditionExpression=behind, ConsistentRead=True)
            return [
                Piece(int(item["position"]), [entry(each) for each in json.loads(item["entries"])]) for item in found
            ]

    @override
    def delete(self, before: float, now: float, spared: Collection[str] = ()) -> list[str]:
        old = Attr("changed").lt(_number(before))
        free = old & (Attr("holder").not_exists() | Attr("until").lte(_number(now)))
        gone = []
        for row in self._listed(old):
            # The row goes last: what is left by who is killed meanwhile is found again. Nobody takes hold of it now.
            if row.id not in spared and self._hold(row.id, "deleted", now + _DELETION_SECONDS, free):
                with self._table() as table, table.batch_writer() as writer:
                    for piece in self.pieces(row.id):
                        writer.delete_item(Key=_key(row.id, piece.position))
                with self._table() as table:
                    table.delete_item(Key=_key(row.id))
                gone.append(row.id)
        return gone

    def _hold(self, identifier: str, holder: str, until: float, condition: ConditionBase) -> bool:
        with self._table() as table:
            try:
                table.update_item(
                    Key=_key(identifier),
                    UpdateExpression="SET holder = :holder, #until = :until",
                    ExpressionAttributeNames={"#until": "until"},
                    ExpressionAttributeValues={":holder": holder, ":until": _number(until)},
                    ConditionExpression=condition,
                )
            except ClientError as error:
                if error.response["Error"]["Code"] == "ConditionalCheckFailedException":
                    return False
                raise
            return True

    def _listed(self, condition: ConditionBase) -> list[Row]:
        with self._table() as table:
            return [_read(item) for item in _all(table.scan, IndexName=OWNER_INDEX, FilterExpression=condition)]

    def _write(
        self, table: Any, row: Row, items: Sequence[Mapping[str, Any]], after: int, writer: str, now: float
    ) -> None:
        free = "attribute_not_exists(holder) OR holder = :writer OR #until <= :now"
        there = f"#last = :after AND ({free})"
        put = {
            "TableName": self._name,
            "Item": _written(row),
            "ConditionExpression": there if after else f"attribute_not_exists(id) OR ({there})",
            "ExpressionAttributeNames": {"#last": "last", "#until": "until"},
            "ExpressionAttributeValues": {":after": after, ":writer": writer, ":now": _number(now)},
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        }
        pieces = [{"Put": {"TableName": self._name, "Item": item}} for item in items]
        try:
            table.meta.client.transact_write_items(TransactItems=[{"Put": put}, *pieces])
        except table.meta.client.exceptions.TransactionCanceledException as error:
            first = error.response["CancellationReasons"][0]
            if first["Code"] != "ConditionalCheckFailed":
                raise
            raise HeldError(row.id) if first.get("Item") else KeyError(row.id) from error

    @contextmanager
    def _table(self) -> Iterator[Any]:
        try:
            if self._opened is None:
                self._opened = boto3.resource("dynamodb", config=_CONFIG).Table(self._name)
            yield self._opened
        except (BotoCoreError, ClientError) as error:
            self.close()
            raise StoreError(f"table {self._name} of DynamoDB: {error}") from error


def _key(identifier: str, position: int = 0) -> dict[str, Any]:
    return {"id": identifier, "position": position}


def _number(value: float) -> Decimal:
    return Decimal(repr(value))


def _written(row: Row) -> dict[str, Any]:
    values = row._asdict() | {"position": 0, "facts": json.dumps(row.facts)}
    numbers = {key: _number(values[key]) for key in ("ran", "changed", "until")}
    return {key: value for key, value in {**values, **numbers}.items() if value is not None}


def _read(item: Mapping[str, Any]) -> Row:
    values = {key: item.get(key) for key in Row._fields}
    whole = {key: int(item[key]) for key in ("complete", "last")}
    numbers = {key: float(item[key]) for key in ("ran", "changed", "until")}
    return Row(**{**values, **whole, **numbers, "facts": json.loads(item["facts"])})


def _items(identifier: str, pieces: Sequence[Piece]) -> Iterator[tuple[dict[str, Any], int]]:
    """Items of the log, each with the position of its last entry."""
    for position, entries in pieces:
        first, size, part = position, 0, list[Entry]()
        for number, each in enumerate(entries):
            length = len(json.dumps(each)) + 2
            if part and size + length > _ITEM_CHARS:
                yield _item(identifier, first, part), position + number - 1
                first, size, part = position + number, 0, []
            part.append(each)
            size += length
        if part:
            yield _item(identifier, first, part), first + len(part) - 1


def _item(identifier: str, position: int, entries: Sequence[Entry]) -> dict[str, Any]:
    return {**_key(identifier, position), "entries": json.dumps(entries)}


def _batches(items: Sequence[tuple[dict[str, Any], int]]) -> Iterator[list[tuple[dict[str, Any], int]]]:
    """Items as they fit into a transaction; one without any where there is nothing but the row to write."""
    batch: list[tuple[dict[str, Any], int]] = []
    size = 0
    for item in items:
        length = len(item[0]["entries"])
        if batch and (len(batch) == _TRANSACTION_ITEMS or size + length > _TRANSACTION_CHARS):
            yield batch
            batch, size = [], 0
        batch.append(item)
        size += length
    yield batch


def _all(ask: Any, **asked: Any) -> Iterator[dict[str, Any]]:
    """All items of a query or a scan, page by page."""
    while True:
        page = ask(**asked)
        yield from page["Items"]
        if "LastEvaluatedKey" not in page:
            return
        asked["ExclusiveStartKey"] = page["LastEvaluatedKey"]
