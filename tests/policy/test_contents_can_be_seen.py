from typing import Any

import pytest

from policy.analyzer import UNKNOWN
from policy.rules.contents_can_be_seen import RULE
from tests.policy.support import violations

YAML = "kubernetes:yaml/v2:ConfigGroup"
STACK = "aws:cloudformation/stack:Stack"
RELEASE = "kubernetes:helm.sh/v3:Release"
FILE = {"4dabf18193072939515e22adb298388d": "c44067f5952c0a294b673a41bacd8c17", "path": "nowhere.yaml"}


@pytest.mark.parametrize(
    ("type_", "inputs"),
    [
        (YAML, {"yaml": "apiVersion: v1\nkind: Namespace\nmetadata: {name: a}\n"}),
        (YAML, {"files": ["https://example.com/crds.yaml"]}),
        (STACK, {"templateBody": "Resources: {}"}),
        (RELEASE, {"chart": "ollama", "values": {"a": UNKNOWN}}),
        ("kubernetes:core/v1:ConfigMap", {"data": UNKNOWN}),
        ("acme:index:App", {"manifest": UNKNOWN}),
    ],
)
def test_what_can_be_seen_is_not_spoken_of(type_: str, inputs: dict[str, Any]) -> None:
    assert violations(RULE, type_, inputs) == []


@pytest.mark.parametrize(
    ("type_", "inputs", "place"),
    [
        (YAML, {"yaml": UNKNOWN}, "yaml"),
        (YAML, {"objs": [UNKNOWN]}, "objs"),
        (STACK, {"templateBody": UNKNOWN}, "templateBody"),
        (STACK, {"templateUrl": "https://example.com/t.yaml"}, "templateUrl"),
        (STACK, {"templateBody": "Resources: {A: {Type: AWS::CloudFormation::Stack, Properties: {}}}"}, "Resources.A"),
        (RELEASE, {"chart": "x", "values": UNKNOWN}, "values"),
        (RELEASE, {"chart": "x", "valueYamlFiles": [FILE]}, "valueYamlFiles.0"),
        ("aws:cloudcontrol/resource:Resource", {"typeName": "AWS::EC2::Instance", "desiredState": UNKNOWN}, "desired"),
        ("kubernetes:core/v1:List", {"items": [UNKNOWN]}, "items.0"),
        ("kubernetes:argoproj.io/v1alpha1:Application", {"spec": {"source": UNKNOWN}}, "spec.source"),
        ("kubernetes:helm.toolkit.fluxcd.io/v2:HelmRelease", {"spec": {"valuesFrom": [{"name": "a"}]}}, "spec.values"),
    ],
)
def test_what_cannot_be_seen_is_said_with_its_place(type_: str, inputs: dict[str, Any], place: str) -> None:
    (message,) = violations(RULE, type_, inputs)
    assert message.startswith(place)
    assert message.endswith("so nothing in it could be judged.")
