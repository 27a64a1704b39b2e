"""Pulumi's wire form as plain Python data, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from google.protobuf import struct_pb2

from plan.project import SECRET_PLACEHOLDER

# How the wire form marks values that JSON has no type for (pulumi/pulumi, sdk/go/common/resource/sig/sig.go).
_SIGNATURE = "4dabf18193072939515e22adb298388d"
_SECRET = "1b47061264138c4ac30d75fd1eb44270"
_RESOURCE = "5cf8f73096256a8f31e491e813e4eb8e"

UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
"""Stands for a value that is not known in a preview."""
UNKNOWN_TEXT = "<known after pulumi up>"


class Secret(str):
    """A text, or a number as text, that the program marked as secret."""

    __slots__ = ()


def plain(struct: struct_pb2.Struct) -> dict[str, Any]:
    """As Python data, keys sorted: secret texts as `Secret`, whole numbers as int, resources as `_referred` has it."""
    return {key: _plain(struct.fields[key]) for key in sorted(struct.fields)}


def _plain(value: struct_pb2.Value, secret: bool = False) -> Any:
    match value.WhichOneof("kind"):
        case "string_value":
            return Secret(value.string_value) if secret else value.string_value
        case "number_value":
            number = value.number_value
            whole = int(number) if number.is_integer() else number
            return Secret(whole) if secret else whole
        case "bool_value":
            return value.bool_value
        case "list_value":
            return [_plain(item, secret) for item in value.list_value.values]
        case "struct_value":
            fields = value.struct_value.fields
            if _SIGNATURE in fields:
                signature = fields[_SIGNATURE].string_value
                if signature == _SECRET:
                    return _plain(fields["value"], secret=True)
                if signature == _RESOURCE:
                    return _referred(fields)
            return {key: _plain(fields[key], secret) for key in sorted(fields)}
        case _:
            return None


def _referred(fields: Mapping[str, struct_pb2.Value]) -> str:
    """What a provider, and a policy, gets for a resource that is given as an input: its id, of a component the URN.

    Source: pulumi 3.276, `resource/plugin/rpc.go` and `property_filter.go`, without KeepResources.
    """
    return fields["id" if "id" in fields else "urn"].string_value


def shown(value: Any) -> Any:
    """A copy for people and files: secrets hidden, unknown values in words."""
    if isinstance(value, Secret):
        return SECRET_PLACEHOLDER
    if value == UNKNOWN:
        return UNKNOWN_TEXT
    if isinstance(value, Mapping):
        return {key: shown(item) for key, item in value.items()}
    return [shown(item) for item in value] if isinstance(value, list) else value


def struct_of(values: Mapping[str, Any]) -> struct_pb2.Struct:
    """Python data in wire form."""
    struct = struct_pb2.Struct()
    struct.update(values)
    return struct


def merged(inputs: struct_pb2.Struct, state: Mapping[str, Any]) -> struct_pb2.Struct:
    """The inputs, as a provider gets them, and what it adds to them."""
    answer = struct_pb2.Struct()
    answer.CopyFrom(inputs)
    # Hardly ever, and most of a large stack would be walked for it.
    if _RESOURCE.encode() in inputs.SerializeToString():
        for value in answer.fields.values():
            _dereference(value)
    answer.update(state)
    return answer


def _dereference(value: struct_pb2.Value) -> None:
    match value.WhichOneof("kind"):
        case "list_value":
            for item in value.list_value.values:
                _dereference(item)
        case "struct_value":
            fields = value.struct_value.fields
            if _SIGNATURE in fields and fields[_SIGNATURE].string_value == _RESOURCE:
                value.string_value = _referred(fields)
                return
            for item in fields.values():
                _dereference(item)
        case _:
            pass
