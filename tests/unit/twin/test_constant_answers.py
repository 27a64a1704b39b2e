"""What Karpenter hears of instance types."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import parse_qs
from xml.etree import ElementTree

import pytest

from twin.aws import constant
from twin.aws.constant import Answer, Call, ConstantAnswers

_EC2 = "{http://ec2.amazonaws.com/doc/2016-11-15}"


def _type(name: str, interfaces: int, addresses: int) -> str:
    return (
        f"<item><instanceType>{name}</instanceType><supportedUsageClasses><item>spot</item></supportedUsageClasses>"
        f"<networkInfo><ipv4AddressesPerInterface>{addresses}</ipv4AddressesPerInterface><networkCards><item>"
        f"<maximumNetworkInterfaces>{interfaces}</maximumNetworkInterfaces></item></networkCards></networkInfo></item>"
    )


PAGES = {
    "": (_type("g6.xlarge", 4, 15) + _type("x9.nothing", 4, 15), "second"),
    "second": (_type("g6.16xlarge", 15, 50) + _type("g6.48xlarge", 15, 50) + _type("c7g.large", 3, 10), ""),
}


class _Moto:
    def __init__(self) -> None:
        self.asked: list[str] = []

    def __call__(self, call: Call) -> Answer:
        token = parse_qs(call.body.decode()).get("NextToken", [""])[0]
        self.asked.append(token)
        items, following = PAGES[token]
        body = (
            '<?xml version="1.0" encoding="utf-8"?>\n'
            '<DescribeInstanceTypesResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15">'
            f"<instanceTypeSet>{items}</instanceTypeSet><nextToken>{following}</nextToken>"
            "</DescribeInstanceTypesResponse>"
        )
        return 200, {}, body.encode()


def _call(**parameters: str) -> Call:
    parameters = {"Action": "DescribeInstanceTypes", **parameters}
    return Call("POST", "/", {}, b"", "ec2", "us-east-1", "DescribeInstanceTypes", parameters)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(constant, "_FOLDER", tmp_path / "answers")
    return tmp_path / "answers"


def _all(answers: ConstantAnswers) -> dict[str, int]:
    """Pods that each type may have, of all pages."""
    found: dict[str, int] = {}
    token = ""
    while True:
        status, _, body = answers.answer(_call(**({"NextToken": token} if token else {})))
        assert status == 200
        root = ElementTree.fromstring(body)
        for item in root.iterfind(f"{_EC2}instanceTypeSet/{_EC2}item"):
            interfaces = item.findtext(f".//{_EC2}maximumNetworkInterfaces") or ""
            addresses = item.findtext(f".//{_EC2}ipv4AddressesPerInterface") or ""
            found[item.findtext(f"{_EC2}instanceType") or ""] = int(interfaces) * (int(addresses) - 1) + 2
        token = root.findtext(f"{_EC2}nextToken") or ""
        if not token:
            return found


def test_only_types_with_a_price_and_one_limit_for_those_with_one_gpu() -> None:
    found = _all(ConstantAnswers(_Moto(), "us-east-1"))
    assert found == {"g6.xlarge": 58, "g6.16xlarge": 58, "g6.48xlarge": 737, "c7g.large": 58}


def test_another_regions_prices_are_played_where_its_own_are_not_known() -> None:
    """Otherwise Karpenter would buy nothing there."""
    assert _all(ConstantAnswers(_Moto(), "eu-central-1")) == _all(ConstantAnswers(_Moto(), "us-east-1"))


def test_moto_is_asked_once() -> None:
    moto = _Moto()
    first = _all(ConstantAnswers(moto, "us-east-1"))
    assert _all(ConstantAnswers(moto, "us-east-1")) == first
    assert moto.asked == ["", "second"]


def test_a_damaged_file_is_written_again(folder: Path) -> None:
    moto = _Moto()
    first = _all(ConstantAnswers(moto, "us-east-1"))
    (file,) = folder.iterdir()
    file.write_text("[")
    assert _all(ConstantAnswers(moto, "us-east-1")) == first
    assert moto.asked == ["", "second"] * 2
