"""YAML in texts that anybody wrote, configurations of the device plugin among them: nothing in them breaks a reader.

PyYAML raises what it likes where a tag is not what its value is (`!!bool x` is a KeyError), and libyaml's composer ends
the process where a text is nested too deep.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

import yaml

_BaseLoader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
#: Levels of nesting in a text, its length in which no more can be that matter, and values that it may unfold to.
MOST_LEVELS: Final = 100
_HARMLESS: Final = 10_000
MOST_VALUES: Final = 100_000
#: What PyYAML raises beside its own errors.
_RAISED: Final = (yaml.YAMLError, ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)


def refuse_depth(text: str | bytes, loader: Any = _BaseLoader) -> None:
    """Raise ConstructorError where a text is nested deeper than `MOST_LEVELS`."""
    if len(text) <= _HARMLESS:
        return
    level = 0
    event: Any
    for event in yaml.parse(text, loader):
        level += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if level > MOST_LEVELS:
            raise yaml.constructor.ConstructorError(None, None, "is nested too deep", event.start_mark)


def documents(text: str, loader: Any = _BaseLoader) -> list[Any]:
    """All documents of a text. Raises ValueError where it is no YAML."""
    try:
        refuse_depth(text, loader)
        found = list(yaml.load_all(text, Loader=loader))
        _unfolded(found, {})
        return found
    except _RAISED as error:
        raise ValueError(f"not YAML: {error}") from error


def plugin_document(text: str) -> Any:
    """A text as NVIDIA's device plugin reads it: the first document alone. Raises ValueError where it is no YAML."""
    try:
        refuse_depth(text, _PluginLoader)
        loader = _PluginLoader(text)  # a subclass of the safe loader
        try:
            found = loader.get_data() if loader.check_data() else None
            _unfolded(found, {})
            return found
        finally:
            loader.dispose()
    except _RAISED as error:
        raise ValueError(f"not YAML: {error}") from error


def _unfolded(value: Any, known: dict[int, int], most: int = MOST_VALUES) -> int:
    """Values in a value without aliases. Raises ValueError where they are too many, or one holds itself."""
    if not isinstance(value, dict | list):
        return 1
    if id(value) not in known:
        known[id(value)] = most + 1  # until it is known: what holds itself is without end
        parts = value.values() if isinstance(value, dict) else value
        known[id(value)] = 1 + sum(_unfolded(part, known, most) for part in parts)
    if known[id(value)] > most:
        raise ValueError("aliases make it too large")
    return known[id(value)]


def too_deep(value: Any) -> bool:
    """Whether data is nested deeper than `MOST_LEVELS`: whoever walks it might run out of stack."""
    level = [value]
    for _ in range(MOST_LEVELS):
        level = [part for holder in level for part in (holder.values() if isinstance(holder, dict) else holder)]
        level = [part for part in level if isinstance(part, dict | list)]
        if not level:
            return False
    return True


class _PluginLoader(_BaseLoader):  # type: ignore[misc]
    """Scalars as sigs.k8s.io/yaml v1.6 has them, by go.yaml.in/yaml v2 (resolve.go): dates and 1:30 are texts, 1e1 and
    0o10 are numbers, y and n are booleans. A tag is nothing but what it says of a scalar."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012  PyYAML's own name


_TAG = "tag:yaml.org,2002:"
_NUMBER = f"{_TAG}gpu-slices-number"
_BOOLEANS = {
    form: value
    for value, words in ((True, ("y", "yes", "true", "on")), (False, ("n", "no", "false", "off")))
    for word in words
    for form in (word, word.capitalize(), word.upper())
}
_PLAIN_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?\Z")
_INT = re.compile(r"([-+]?)(?:0[xX]([0-9a-fA-F]+)|0[bB]([01]+)|0[oO]?([0-7]+)|(0|[1-9][0-9]*))\Z")
#: What Go's uint64 holds in decimals; a longer figure is a float to it.
_MOST_DIGITS = 20


def _number(written: str) -> int | float | str:
    """What Go makes of a plain scalar that begins like a number."""
    if re.fullmatch(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)", written):
        raise ValueError("JSON has no such number")
    figures = written.replace("_", "") if written[:1] != "." else written
    found = _INT.match(figures)
    if found:
        sign, sixteen, two, eight, ten = found.groups()
        base, digits = next((b, d) for b, d in ((16, sixteen), (2, two), (8, eight), (10, ten)) if d is not None)
        if base != 10 or len(digits) <= _MOST_DIGITS:
            number = int(sign + digits, base)
            if -(2**63) <= number < 2**64:
                return number
    if _PLAIN_FLOAT.match(figures) and abs(float(figures)) != float("inf"):
        return float(figures)
    return written


def _typed(*types: type) -> Any:
    """A constructor of values of these types alone."""

    def construct(_: Any, node: yaml.Node) -> Any:
        value = _number(str(node.value)) if isinstance(node, yaml.ScalarNode) else None
        if not isinstance(value, types):
            raise yaml.constructor.ConstructorError(None, None, f"no {node.tag}", node.start_mark)
        return value

    return construct


def _boolean(_: Any, node: yaml.Node) -> bool:
    if node.value not in _BOOLEANS:
        raise yaml.constructor.ConstructorError(None, None, "no boolean", node.start_mark)
    return _BOOLEANS[node.value]


def untagged(loader: Any, node: yaml.Node) -> Any:
    """What stands behind a tag."""
    if isinstance(node, yaml.MappingNode):
        return loader.construct_mapping(node, deep=True)
    if isinstance(node, yaml.SequenceNode):
        return loader.construct_sequence(node, deep=True)
    return loader.construct_scalar(node)


for _tag, _pattern, _first in (
    (f"{_TAG}bool", "|".join(_BOOLEANS), "yYnNtTfFoO"),
    (f"{_TAG}null", "~|null|Null|NULL|", ("~", "n", "N", "")),
    (f"{_TAG}merge", "<<", "<"),
    (_NUMBER, r"[-+.0-9].*", "-+.0123456789"),
):
    _whole = re.compile(rf"(?:{_pattern})\Z")
    for _character in _first:
        _PluginLoader.yaml_implicit_resolvers.setdefault(_character, []).append((_tag, _whole))
for _name in ("set", "omap", "pairs", "binary", "timestamp"):
    _PluginLoader.add_constructor(_TAG + _name, untagged)
_PluginLoader.add_constructor(None, untagged)
_PluginLoader.add_constructor(_NUMBER, _typed(int, float, str))
_PluginLoader.add_constructor(f"{_TAG}int", _typed(int))
_PluginLoader.add_constructor(f"{_TAG}float", _typed(int, float))
_PluginLoader.add_constructor(f"{_TAG}bool", _boolean)


@dataclass(frozen=True)
class Placed:
    """A value, and the line on which it begins, counted from 1."""

    value: Any
    line: int
    node: yaml.Node | None = None

    def items(self) -> list[Placed]:
        """The elements of the list under `items`, each with its line."""
        values = self.value["items"]
        nodes = _nodes_below(self.node, "items")
        lines = [node.start_mark.line + 1 for node in nodes] if len(nodes) == len(values) else [self.line] * len(values)
        held = nodes if len(nodes) == len(values) else [None] * len(values)
        return [Placed(*element) for element in zip(values, lines, held, strict=True)]


def _nodes_below(node: yaml.Node | None, key: str) -> list[Any]:
    pairs = node.value if isinstance(node, yaml.MappingNode) else []
    return next((value.value for name, value in pairs if name.value == key and isinstance(value.value, list)), [])


class NoYamlError(ValueError):
    """A text is no YAML: what is wrong, and its line, counted from 1, where that is known."""

    def __init__(self, problem: str, line: int | None) -> None:
        super().__init__(problem)
        self.line = line


def placed_documents(text: str) -> list[Placed]:
    """All documents of a text as Kubernetes' tools read them, with their lines. Raises NoYamlError."""
    try:
        refuse_depth(text, _PluginLoader)
        loader = _PluginLoader(text)
        try:
            found = [_placed(loader) for _ in iter(loader.check_node, False)]
        finally:
            loader.dispose()
        # Each value takes a character, unless an alias stands for it.
        _unfolded([document.value for document in found], {}, max(MOST_VALUES, len(text)))
        if too_deep([document.value for document in found]):
            raise ValueError("is nested too deep")
        return found
    except _RAISED as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or getattr(error, "reason", None) or str(error) or "no YAML"
        raise NoYamlError(" ".join(str(problem).split())[:200], mark.line + 1 if mark else None) from error


def _placed(loader: Any) -> Placed:
    node = loader.get_node()
    return Placed(loader.construct_document(node), node.start_mark.line + 1, node)
