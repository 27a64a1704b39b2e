"""What resources carry: read whatever its shape, and in the one form that rules know."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policy.inventory import Blind, Item, carries, unfold
from policy.reading import Unknown
from tests.policy.case_parts import POOL_YAML

CARRIERS = [
    "acme:index:App",
    "aws-native:ec2:LaunchTemplate",
    "aws-native:eks:Cluster",
    "aws-native:iam:User",
    "aws-native:index:ExtensionResource",
    "aws:cloudcontrol/resource:Resource",
    "aws:cloudformation/stack:Stack",
    "aws:index/eksNodeGroup:EksNodeGroup",
    "command:local:Command",
    "kubernetes:apiextensions.crossplane.io/v1:Composition",
    "kubernetes:argoproj.io/v1alpha1:Application",
    "kubernetes:argoproj.io/v1alpha1:ApplicationSet",
    "kubernetes:controlplane.cluster.x-k8s.io/v1beta2:AWSManagedControlPlane",
    "kubernetes:core/v1:List",
    "kubernetes:ec2.services.k8s.aws/v1alpha1:Instance",
    "kubernetes:eks.aws.upbound.io/v1beta1:NodeGroup",
    "kubernetes:eksctl.io/v1alpha5:ClusterConfig",
    "kubernetes:helm.cattle.io/v1:HelmChart",
    "kubernetes:helm.crossplane.io/v1beta1:Release",
    "kubernetes:helm.sh/v3:Release",
    "kubernetes:helm.toolkit.fluxcd.io/v2:HelmRelease",
    "kubernetes:infrastructure.cluster.x-k8s.io/v1beta2:AWSMachinePool",
    "kubernetes:infrastructure.cluster.x-k8s.io/v1beta2:AWSManagedMachinePool",
    "kubernetes:kro.run/v1alpha1:ResourceGraphDefinition",
    "kubernetes:kustomize.toolkit.fluxcd.io/v1:Kustomization",
    "kubernetes:kustomize/v2:Directory",
    "kubernetes:serving.kserve.io/v1beta1:InferenceService",
    "kubernetes:yaml/v2:ConfigGroup",
]
#: Keys by which readers go.
_WORDS = st.sampled_from(
    [
        *("spec", "template", "values", "source", "sources", "helm", "chart", "items", "objs", "yaml", "file"),
        *("files", "directory", "templateBody", "parameters", "Resources", "Type", "Properties", "Ref"),
        *("Fn::Sub", "Fn::If", "Tags", "launchTemplateData", "instanceType"),
        *("blockDeviceMappings", "ebs", "forProvider", "resources", "base", "patches", "toFieldPath"),
        *("pipeline", "input", "inline", "kind", "apiVersion", "metadata", "name", "containers", "image"),
        *("container", "logging", "clusterLogging", "policies", "encryptionConfig", "typeName"),
        *("desiredState", "type", "properties", "set", "valuesContent", "postRenderers"),
        *("awsLaunchTemplate", "mixedInstancesPolicy", "rootVolume", "nodeGroups"),
        *("instancesDistribution", "endpointAccess", "valueYamlFiles", "parametersRef"),
        *("create", "stdin"),
    ]
)
_LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.text(max_size=12),
    st.sampled_from(["AWS::EKS::Nodegroup", "List", "v1", POOL_YAML, "{{ .Values.a }}", "${a}", "a[0].b", "["]),
    st.builds(Unknown, st.just("somewhere")),
)
_SHAPES = st.recursive(
    _LEAVES,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(_WORDS, inner, max_size=4)),
    max_leaves=12,
)


def test_each_of_these_carries_something() -> None:
    assert [type_ for type_ in CARRIERS if not carries(type_)] == []


@pytest.mark.parametrize("type_", CARRIERS)
@given(props=st.dictionaries(_WORDS, _SHAPES, max_size=4))
@settings(max_examples=40)
def test_no_shape_breaks_a_reader(type_: str, props: dict[str, Any]) -> None:
    for found in unfold(type_, props):
        assert isinstance(found, Blind) or isinstance(found.props, dict)


def _items(type_: str, props: dict[str, Any]) -> dict[str, Item]:
    return {found.place: found for found in unfold(type_, props) if isinstance(found, Item)}


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("KmsKeyId", "kmsKeyId"),
        ("kmsKeyID", "kmsKeyId"),
        ("kms_key_id", "kmsKeyId"),
        ("VPCZoneIdentifier", "vpcZoneIdentifier"),
        ("EBSOptimized", "ebsOptimized"),
        ("MemoryMiB", "memoryMib"),
        ("MaxSize", "maxSize"),
        ("MaxvCpus", "maxVcpus"),
        ("max_size", "maxSize"),
    ],
)
def test_a_property_has_one_name_however_it_is_written(written: str, name: str) -> None:
    (item,) = unfold("aws-native:logs:LogGroup", {written: 1})
    assert isinstance(item, Item)
    assert item.props == {name: 1}


def test_functions_of_a_template_are_worked_out_as_far_as_it_tells() -> None:
    body = """
Parameters:
  Type: {Type: String, Default: g5.xlarge}
  Given: {Type: String}
  Stored: {Type: "AWS::SSM::Parameter::Value<String>", Default: /a}
Mappings: {Sizes: {gpu: {max: 3}}}
Resources:
  Group:
    Type: AWS::EKS::Nodegroup
    Properties:
      InstanceTypes: [!Ref Type, !Sub "${Given}", !Ref Stored, !Join [".", [g6, xlarge]], !Sub "a-${!literal}/b"]
      CapacityType: !If [Cheap, SPOT, ON_DEMAND]
      AmiType: !Ref AWS::NoValue
      ScalingConfig: {MaxSize: !FindInMap [Sizes, gpu, max], MinSize: !Select [0, [1, 2]]}
      LaunchTemplate: {Id: !GetAtt Template.LaunchTemplateId}
  Template: {Type: AWS::EC2::LaunchTemplate, Properties: {LaunchTemplateData: {}}}
"""
    found = _items("aws:cloudformation/stack:Stack", {"templateBody": body, "parameters": {"Given": "p5.48xlarge"}})
    group = found["Resources.Group"]
    assert group.type == "aws:eks/nodeGroup:NodeGroup"
    types = group.props["instanceTypes"]
    assert [types[0], types[1], types[3], types[4]] == ["g5.xlarge", "p5.48xlarge", "g6.xlarge", "a-${literal}/b"]
    assert isinstance(types[2], Unknown)
    assert isinstance(group.props["capacityType"], Unknown)
    assert "amiType" not in group.props
    assert group.props["scalingConfig"] == {"maxSize": 3, "minSize": 1}
    assert group.needs == ("Resources.Template",)


def test_what_is_wrapped_several_times_is_found() -> None:
    values = {"extraObjects": [{"apiVersion": "v1", "kind": "List", "items": [POOL_YAML]}, POOL_YAML]}
    application = {"spec": {"source": {"chart": "pools", "helm": {"valuesObject": values}}}}
    found = _items("kubernetes:argoproj.io/v1alpha1:Application", application)
    assert found["spec.source.values.extraObjects.1"].type == "kubernetes:karpenter.sh/v1:NodePool"


def test_what_is_wrapped_without_end_is_said() -> None:
    inner: Any = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}}
    for _ in range(12):
        inner = {"apiVersion": "v1", "kind": "List", "items": [inner]}
    (found,) = unfold("kubernetes:core/v1:List", inner)
    assert isinstance(found, Blind)
    assert "too deep" in found.why
