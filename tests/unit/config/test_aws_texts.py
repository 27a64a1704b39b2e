"""Texts that go to AWS or to a registry: what others call valid is taken, and nothing that they refuse."""

from __future__ import annotations

import sys
import unicodedata
from itertools import groupby

import pytest
import regex
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from config.checks.tags import check_tags
from config.fields import MAX_IMAGE_NAME, Email, Image

EMAIL: TypeAdapter[str] = TypeAdapter(Email)
IMAGE: TypeAdapter[str] = TypeAdapter(Image)
#: IAM's pattern for tags, the strictest of all services (botocore, iam, tagValueType).
AWS_TAG = regex.compile(r"[\p{L}\p{Z}\p{N}_.:/=+\-@]*")

#: The grammar of github.com/distribution/reference, as its own comment writes it.
_alphanumeric = st.text("abcdefghijklmnopqrstuvwxyz0123456789", min_size=1, max_size=8)
_any_alphanumeric = st.text("abcXYZ019", min_size=1, max_size=8)
_components = st.lists(_alphanumeric, min_size=1, max_size=3).flatmap(
    lambda parts: st.sampled_from([".", "_", "__", "-", "---"]).map(lambda separator: separator.join(parts))
)
_hosts = st.lists(_any_alphanumeric, min_size=2, max_size=4).map(".".join)
_ports = st.just("") | st.integers(1, 65535).map(lambda port: f":{port}")
_registries = st.just("") | st.builds(lambda host, port: f"{host}{port}/", _hosts, _ports) | st.just("localhost:5000/")
_tags = st.from_regex(r"\A[A-Za-z0-9_][A-Za-z0-9_.-]{0,20}\Z").map(lambda tag: f":{tag}")
_digests = st.text("0123456789abcdef", min_size=64, max_size=64).map(lambda digits: f"@sha256:{digits}")
references = st.builds(
    lambda registry, path, end: f"{registry}{'/'.join(path)}{end}",
    _registries,
    st.lists(_components, min_size=1, max_size=3),
    _tags | _digests | st.builds(lambda tag, digest: f"{tag}{digest}", _tags, _digests),
)


@given(st.emails())
@settings(max_examples=100)
def test_every_plain_address_is_taken(address: str) -> None:
    assert EMAIL.validate_python(address) == address


@given(references)
@settings(max_examples=100)
def test_every_image_of_the_grammar_is_taken(image: str) -> None:
    assert IMAGE.validate_python(image) == image


@given(references, st.integers(0))
@settings(max_examples=100)
def test_an_image_with_a_capital_in_its_repository_is_not(image: str, place: int) -> None:
    registry, slash, rest = image.rpartition("/")
    name = regex.split("[:@]", rest)[0]
    letters = [index for index, sign in enumerate(name) if sign.isalpha()]
    if letters:
        at = letters[place % len(letters)]
        with pytest.raises(ValidationError):
            IMAGE.validate_python(f"{registry}{slash}{rest[:at]}{rest[at].upper()}{rest[at + 1 :]}")


def test_the_name_of_an_image_has_a_limit() -> None:
    name = "a/" * (MAX_IMAGE_NAME // 2) + "a"
    assert IMAGE.validate_python(f"{name}:1")
    with pytest.raises(ValidationError, match="at most 255 characters before its tag or digest"):
        IMAGE.validate_python(f"{name}a:1")


def test_no_sign_is_taken_in_a_tag_that_aws_refuses() -> None:
    """Every sign that a script has. Of what is unassigned, private or half a sign, four of five, the first and the last
    of each range: to Python's patterns all of a range are the same."""
    categories = [unicodedata.category(chr(code)) for code in range(sys.maxunicode + 1)]
    signs: list[str] = []
    for category, group in groupby(range(sys.maxunicode + 1), key=categories.__getitem__):
        codes = list(group)
        signs += map(chr, {codes[0], codes[-1]} if category in {"Cn", "Co", "Cs"} else codes)
    taken = [sign for sign in signs if not list(check_tags({"team": sign}))]
    assert len(taken) > 100_000
    assert [sign for sign in taken if not AWS_TAG.fullmatch(sign)] == []
