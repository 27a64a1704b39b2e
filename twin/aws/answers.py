"""Answers one request to AWS: its own where moto has none or a wrong one, moto's everywhere else."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs

from botocore.awsrequest import AWSPreparedRequest
from botocore.compat import HTTPHeaders
from moto.core.botocore_stubber import BotocoreStubber

from twin.aws.constant import CONSTANT, Answer, Call, ConstantAnswers
from twin.aws.images import image_of
from twin.play.faults import Faults
from twin.prices import played, products, spot_history

_SCOPE = re.compile(r"Credential=[^/,]+/\d+/([\w-]+)/([\w-]+)/aws4_request")
_XML = {"Content-Type": "text/xml"}
_JSON = {"Content-Type": "application/x-amz-json-1.1"}
#: Services without a region in their address.
_GLOBAL = {"iam"}


class Aws:
    """The stand-in. Threads may share it."""

    def __init__(self, region: str, zones: list[str], faults: Faults) -> None:
        self._region = region
        self._zones = zones
        self._prices = played(region)
        self._faults = faults
        self._moto = BotocoreStubber()
        self._constant = ConstantAnswers(self._ask_moto, region)
        self._own: dict[tuple[str, str], Callable[[Call], Answer | None]] = {
            ("pricing", "GetProducts"): self._get_products,
            ("ec2", "DescribeSpotPriceHistory"): self._spot_price_history,
            ("ec2", "DescribeInstanceTypeOfferings"): self._offerings,
            ("ssm", "GetParameter"): _get_parameter,
        }

    def answer(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Status, headers and body."""
        call = _parse(method, path, headers, body, self._region)
        own = self._own.get((call.service, call.action))
        answered = own(call) if own else None
        if answered is not None:
            return answered
        return self._constant.answer(call) if call.action in CONSTANT else self._ask_moto(call)

    def _ask_moto(self, call: Call) -> Answer:
        host = (
            f"{call.service}.amazonaws.com"
            if call.service in _GLOBAL
            else f"{call.service}.{call.region}.amazonaws.com"
        )
        sent = HTTPHeaders()
        for name, text in call.headers.items():
            if name.lower() != "host":
                sent[name] = text
        request = AWSPreparedRequest(call.method, f"https://{host}{call.path}", sent, call.body, False)
        answered: Any = self._moto.process_request(request)
        if answered is None:
            return 404, _JSON, b'{"message": "the twin does not play this service"}'
        status, answered_headers, body = answered
        return status, dict(answered_headers), body.encode() if isinstance(body, str) else bytes(body)

    def _get_products(self, call: Call) -> Answer:
        found = products(self._prices, call.parameters.get("Filters") or [])
        return 200, _JSON, json.dumps(found).encode()

    # --- EC2 ----------------------------------------------------------------------------------------------------------

    def _spot_price_history(self, _: Call) -> Answer:
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
        gone = self._faults.without_spot().matches
        return 200, _XML, "".join(spot_history(self._prices, self._zones, now, gone)).encode()

    def _offerings(self, call: Call) -> Answer | None:
        """Moto's, without what a scenario has withdrawn."""
        withdrawn = self._faults.withdrawn()
        if not withdrawn:
            return None
        status, headers, body = self._constant.answer(call)
        text = body.decode()
        for item in re.findall(r"<item>.*?</item>", text, re.DOTALL):
            instance_type = re.search(r"<instanceType>(.*?)</instanceType>", item)
            location = re.search(r"<location>(.*?)</location>", item)
            if instance_type and location and withdrawn.matches(instance_type[1], location[1]):
                text = text.replace(item, "")
        return status, {k: v for k, v in headers.items() if k.lower() != "content-length"}, text.encode()


def _get_parameter(call: Call) -> Answer | None:
    name = str(call.parameters.get("Name", ""))
    if not name.startswith("/aws/service/"):
        return None
    image = image_of(name)
    if image is None:
        error = {"__type": "ParameterNotFound", "message": f"{name} not found"}
        return 400, _JSON, json.dumps(error).encode()
    return (
        200,
        _JSON,
        json.dumps({"Parameter": {"Name": name, "Type": "String", "Value": image[0], "Version": 1}}).encode(),
    )


def _parse(method: str, path: str, headers: Mapping[str, str], body: bytes, region: str) -> Call:
    found = _SCOPE.search(headers.get("authorization", ""))
    region, service = (found[1], found[2]) if found else (region, "")
    target = headers.get("x-amz-target", "")
    parameters: Mapping[str, Any] = {}
    action = target.rpartition(".")[2]
    if headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        parameters = {key: values[0] for key, values in parse_qs(body.decode()).items()}
        action = str(parameters.get("Action", ""))
    elif target and body:
        parameters = json.loads(body)
    return Call(method, path, headers, body, service, region, action, parameters)
