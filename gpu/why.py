"""A figure that knows what it is made of: the arithmetic is done and told by the same code, so both always agree."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Final

#: Multiplication, as it is shown.
_TIMES: Final = " x "
#: A difference that is so small a part of what it is taken from is none.
_NOTHING: Final = 1e-12


@dataclass(frozen=True, slots=True)
class Input:
    """What goes into a figure. unit: such as `USD/h`. source and date (ISO 8601): of what others say, else empty."""

    name: str
    value: float | None
    unit: str = ""
    source: str = ""
    date: str | None = None


@dataclass(frozen=True, slots=True)
class Why:
    """A figure; None where one of its inputs is not known. formula: its arithmetic in figures, `2 x 0.0816 x 730`."""

    value: float | None
    formula: str
    inputs: tuple[Input, ...] = ()
    is_sum: bool = False


def given(name: str, value: float | None, unit: str = "", source: str = "", date: str | None = None) -> Why:
    """A figure that is not reckoned here."""
    return Why(value, figure(value), (Input(name, value, unit, source, date),))


def times(*factors: Why) -> Why:
    """The product, from the left; None where a factor is not known, and no other one is 0."""
    known = [factor.value for factor in factors if factor.value is not None]
    value = prod(known) if len(known) == len(factors) else 0.0 if 0 in known else None
    return Why(value, _TIMES.join(_bracketed(factor) for factor in factors), _inputs(factors))


def plus(*terms: Why) -> Why:
    """The sum; None where a term is not known, since a sum would mislead."""
    known = [term.value for term in terms if term.value is not None]
    value = sum(known) if len(known) == len(terms) else None
    is_sum = len(terms) > 1 or any(term.is_sum for term in terms)
    return Why(value, " + ".join(term.formula for term in terms) or "0", _inputs(terms), is_sum=is_sum)


def minus(whole: Why, part: Why) -> Why:
    """The difference."""
    if part.value == 0:
        return whole
    value = None if whole.value is None or part.value is None else whole.value - part.value
    if value and whole.value and abs(value) < _NOTHING * abs(whole.value):
        value = 0.0  # what is left of equal sums of floats
    return Why(value, f"{whole.formula} - {_bracketed(part)}", _inputs((whole, part)), is_sum=True)


def over(amount: Why, parts: Why) -> Why:
    """The quotient. parts: not 0."""
    value = None if amount.value is None or parts.value is None else amount.value / parts.value
    below = parts.formula if len(parts.formula.split()) == 1 else f"({parts.formula})"
    return Why(value, f"{_bracketed(amount)} / {below}", _inputs((amount, parts)))


def most(*whys: Why) -> Why:
    """The largest of some, all of them known."""
    return max(whys, key=lambda why: why.value or 0.0)


def least(*whys: Why) -> Why:
    """The smallest of some, all of them known."""
    return min(whys, key=lambda why: why.value or 0.0)


def _bracketed(why: Why) -> str:
    return f"({why.formula})" if why.is_sum else why.formula


def _inputs(parts: tuple[Why, ...]) -> tuple[Input, ...]:
    return tuple(dict.fromkeys(each for part in parts for each in part.inputs))


def figure(value: float | None) -> str:
    """A number as arithmetic shows it: nothing is cut that changes the result's cents; `?` where it is not known."""
    if value is None:
        return "?"
    if abs(value) < 1:
        return f"{value:.8g}"
    return f"{value:.6f}".rstrip("0").rstrip(".")
