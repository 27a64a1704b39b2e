"""States of AWS resources: the platform below the cluster, and the cluster itself."""

from __future__ import annotations

import json
from typing import Any, Final

from policy.eks_support import support_ends
from tests.engine.states import Planned, State, id_of, itself, secret
from tests.policy.clusters import AWS, COMPONENT, KEY, NATIVE, cluster
from versions import EKS_STANDARD_SUPPORT_ENDS

TAGS: Final = {"team": "ml", "Name": "größter Würfel"}
_NEWEST: Final = max(EKS_STANDARD_SUPPORT_ENDS, key=EKS_STANDARD_SUPPORT_ENDS.__getitem__)
#: A release of a far day, so that no verdict changes with the day.
_COMING: Final = f"1.{int(_NEWEST.partition('.')[2]) + 100}"
assert support_ends(_COMING) is None


def _cluster(type_: str, **changes: Any) -> dict[str, Any]:
    """Inputs of a sound cluster of no particular day."""
    inputs = cluster(type_, **{"version": _COMING, **changes})
    if type_ == NATIVE:
        return {**inputs, "tags": [{"key": key, "value": value} for key, value in TAGS.items()]}
    return {**inputs, "tags": TAGS} if type_ == AWS else {**inputs, "skipDefaultNodeGroup": True}


def _policy(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


_NODE_TRUST: Final = _policy(
    {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}
)
_READ_MODELS: Final = {"Effect": "Allow", "Action": ["s3:GetObject"], "Resource": "arn:aws:s3:::models/*"}

_VPC: Final = Planned(
    type="aws:ec2/vpc:Vpc", name="network", inputs={"cidrBlock": "10.42.0.0/16", "enableDnsHostnames": True}
)
_FLOW_LOG: Final = Planned(
    type="aws:ec2/flowLog:FlowLog",
    name="flow-log",
    inputs={"vpcId": id_of("network"), "trafficType": "ALL", "logDestinationType": "s3", "maxAggregationInterval": 600},
)
_DEFAULT_GROUP: Final = Planned(
    type="aws:ec2/defaultSecurityGroup:DefaultSecurityGroup", name="default-group", inputs={"vpcId": id_of("network")}
)
_KEY: Final = Planned(
    type="aws:kms/key:Key", name="key", inputs={"description": "Schlüssel", "enableKeyRotation": "true", "tags": TAGS}
)

_NETWORK: Final = (
    State(
        name="default-group-open",
        fires=frozenset({"vpc-default-group-closed"}),
        resources=(
            _VPC,
            _FLOW_LOG,
            Planned(
                type=_DEFAULT_GROUP.type,
                name=_DEFAULT_GROUP.name,
                inputs={
                    "vpcId": id_of("network"),
                    "ingress": [{"protocol": "-1", "fromPort": 0, "toPort": 0, "self": True}],
                },
            ),
        ),
        mended={("default-group", "ingress"): []},
    ),
    State(
        name="default-group-of-aws",
        fires=frozenset({"vpc-default-group-managed"}),
        resources=(_VPC, _FLOW_LOG),
        more=(_DEFAULT_GROUP,),
    ),
    State(
        name="flow-log-of-a-subnet",
        fires=frozenset({"vpc-flow-logs"}),
        resources=(
            Planned(type="acme:network:Foundation", name="foundation", component=True),
            Planned(type=_VPC.type, name="network", inputs=_VPC.inputs, parent="foundation"),
            Planned(type=_DEFAULT_GROUP.type, name="default-group", inputs=_DEFAULT_GROUP.inputs, parent="foundation"),
            Planned(
                type="aws:ec2/subnet:Subnet",
                name="a",
                inputs={"vpcId": id_of("network"), "cidrBlock": "10.42.0.0/20", "availabilityZone": "us-east-1a"},
                parent="network",
            ),
            Planned(
                type=_FLOW_LOG.type,
                name="flow-log",
                inputs={"subnetId": id_of("a"), "trafficType": "REJECT"},
                parent="foundation",
            ),
        ),
        mended={("flow-log", "subnetId"): None, ("flow-log", "vpcId"): id_of("network")},
    ),
    State(
        name="flow-log-known-by-order-alone",
        fires=frozenset({"vpc-flow-logs", "vpc-default-group-managed"}),
        resources=(
            Planned(type="acme:network:Landing", name="landing", component=True),
            Planned(type="acme:network:Zone", name="zone", component=True, parent="landing"),
            Planned(type=_VPC.type, name="shared", inputs={"cidrBlock": "10.43.0.0/16"}, parent="zone"),
            Planned(
                type=_FLOW_LOG.type,
                name="log",
                inputs={"subnetId": "subnet-0a1b2c3d", "trafficType": "ALL"},
                dependencies=("shared",),
            ),
            Planned(
                type=_DEFAULT_GROUP.type, name="group", inputs={"revokeRulesOnDelete": True}, dependencies=("landing",)
            ),
        ),
        mended={
            ("log", "subnetId"): None,
            ("log", "vpcId"): "vpc-0a1b2c3d",
            ("group", "vpcId"): "vpc-0a1b2c3d",
        },
    ),
    State(
        name="ssh-open-in-a-range",
        fires=frozenset({"vpc-no-open-ssh"}),
        resources=(
            Planned(
                type="aws:ec2/securityGroup:SecurityGroup",
                name="bastion",
                inputs={
                    "description": "Old bastion",
                    "ingress": [
                        {"protocol": "tcp", "fromPort": 443.0, "toPort": 443.0, "cidrBlocks": ["0.0.0.0/0"]},
                        {
                            "protocol": "tcp",
                            "fromPort": "20",
                            "toPort": "25",
                            "cidrBlocks": ["203.0.113.0/24"],
                            "ipv6CidrBlocks": ["::/0"],
                        },
                    ],
                },
            ),
        ),
        mended={("bastion", "ingress", 1, "ipv6CidrBlocks"): ["2001:db8::/48"]},
    ),
    State(
        name="nat-without-tags",
        fires=frozenset({"tags-cost-allocation"}),
        resources=(
            Planned(type="aws:ec2/eip:Eip", name="address", inputs={"domain": "vpc", "tags": {"Name": "nat"}}),
            Planned(
                type="aws:ec2/natGateway:NatGateway",
                name="nat",
                inputs={"allocationId": id_of("address"), "subnetId": "subnet-1", "tags": {"Name": "nat"}},
            ),
        ),
        more=(
            Planned(
                type="pulumi:providers:aws",
                name="tagging",
                inputs={"region": "us-east-1", "defaultTags": json.dumps({"tags": TAGS})},
            ),
        ),
    ),
)

_DATA: Final = (
    State(
        name="registry-with-moving-tags",
        fires=frozenset({"ecr-immutable-scanned"}),
        resources=(
            Planned(
                type="aws:ecr/repository:Repository",
                name="modèles",
                inputs={
                    "name": "models/llm",
                    "imageTagMutability": "MUTABLE",
                    "imageScanningConfiguration": {"scanOnPush": "true"},
                    "tags": TAGS,
                },
            ),
        ),
        mended={("modèles", "imageTagMutability"): "IMMUTABLE"},
    ),
    State(
        name="administrator",
        fires=frozenset({"iam-no-administrators"}),
        resources=(
            Planned(type="acme:teams:Team", name="ml", inputs={"members": ["ana", "bo", "陳"]}, component=True),
            Planned(type="aws:iam/role:Role", name="runner", inputs={"assumeRolePolicy": _NODE_TRUST}, parent="ml"),
            Planned(
                type="aws:iam/rolePolicyAttachment:RolePolicyAttachment",
                name="power",
                inputs={"role": secret(id_of("runner")), "policyArn": "arn:aws:iam::aws:policy/AdministratorAccess"},
                parent="ml",
            ),
        ),
        mended={("power", "policyArn"): "arn:aws:iam::aws:policy/AmazonEKSWorkerNodePolicy"},
    ),
    State(
        name="wildcards",
        fires=frozenset({"iam-no-wildcards"}),
        resources=(
            Planned(
                type="aws:iam/policy:Policy",
                name="nodes",
                inputs={
                    "description": "Was Knoten dürfen",
                    "policy": _policy(_READ_MODELS, {"Effect": "Allow", "Action": "ec2:*", "Resource": "*"}),
                },
            ),
            Planned(
                type="aws-native:iam:Role",
                name="native",
                inputs={
                    "assumeRolePolicyDocument": {
                        "Statement": [{"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}]
                    }
                },
            ),
        ),
        mended={
            ("nodes", "policy"): secret(_policy(_READ_MODELS)),
            ("native", "assumeRolePolicyDocument", "Statement", 0, "Principal"): {"Service": "ec2.amazonaws.com"},
        },
    ),
    State(
        name="key-for-ever",
        fires=frozenset({"kms-rotation"}),
        resources=(Planned(type="aws:kms/key:Key", name="key", inputs={"keyUsage": "ENCRYPT_DECRYPT", "tags": TAGS}),),
        mended={("key", "enableKeyRotation"): True},
    ),
    State(
        name="logs-in-the-clear",
        fires=frozenset({"logs-encryption"}),
        resources=(
            _KEY,
            Planned(
                type="aws:cloudwatch/logGroup:LogGroup",
                name="control-plane",
                inputs={"name": "/aws/eks/ml/cluster", "retentionInDays": 365.0, "tags": TAGS},
            ),
        ),
        mended={("control-plane", "kmsKeyId"): itself("key")},
    ),
    State(
        name="logs-for-a-month",
        fires=frozenset({"logs-retention"}),
        resources=(
            Planned(
                type="aws:cloudwatch/logGroup:LogGroup",
                name="control-plane",
                inputs={"retentionInDays": "30", "kmsKeyId": secret(KEY), "tags": TAGS},
            ),
        ),
        mended={("control-plane", "retentionInDays"): 400.0},
    ),
    State(
        name="queue-in-the-clear",
        fires=frozenset({"sqs-encryption"}),
        resources=(
            Planned(
                type="aws:sqs/queue:Queue",
                name="interruptions",
                inputs={"messageRetentionSeconds": 300, "sqsManagedSseEnabled": False, "tags": TAGS},
            ),
        ),
        mended={("interruptions", "sqsManagedSseEnabled"): True},
    ),
)

_CLUSTERS: Final = (
    State(
        name="few-logs",
        fires=frozenset({"eks-control-plane-logs"}),
        resources=(
            Planned(type=AWS, name="ml", inputs=_cluster(AWS, enabledClusterLogTypes=["api", "audit", "scheduler"])),
        ),
        mended={("ml", "enabledClusterLogTypes"): cluster(AWS)["enabledClusterLogTypes"]},
    ),
    State(
        name="open-in-two-halves",
        fires=frozenset({"eks-endpoint-allowlist"}),
        resources=(
            Planned(
                type=NATIVE, name="native", inputs=_cluster(NATIVE, publicAccessCidrs=["0.0.0.0/1", "128.0.0.0/1"])
            ),
        ),
        mended={("native", "resourcesVpcConfig", "publicAccessCidrs"): ["198.51.100.0/24"]},
    ),
    State(
        name="public-endpoint-alone",
        fires=frozenset({"eks-private-endpoint"}),
        resources=(Planned(type=AWS, name="ml", inputs=_cluster(AWS, endpointPrivateAccess=None)),),
        mended={("ml", "vpcConfig", "endpointPrivateAccess"): True},
    ),
    State(
        name="secrets-with-amazons-key",
        fires=frozenset({"eks-secrets-encrypted"}),
        resources=(Planned(type=AWS, name="ml", inputs=_cluster(AWS, encryptionConfigKeyArn=None)),),
        mended={("ml", "encryptionConfig"): {"provider": {"keyArn": secret(KEY)}, "resources": ["secrets"]}},
    ),
    State(  # as pulumi-eks 4.1 to 4.3 registers it
        name="component-without-inputs",
        fires=frozenset({"eks-standard-support"}),
        resources=(
            Planned(type=COMPONENT, name="ml", component=True),
            Planned(type="aws:iam/role:Role", name="role", inputs={"assumeRolePolicy": _NODE_TRUST}, parent="ml"),
            Planned(
                type=AWS,
                name="inside",
                inputs={**_cluster(AWS, supportType=None), "roleArn": id_of("role")},
                parent="ml",
            ),
        ),
        mended={("inside", "upgradePolicy"): {"supportType": "STANDARD"}},
    ),
    State(
        name="component-with-inputs",
        fires=frozenset({"eks-supported-version", "eks-private-endpoint"}),
        resources=(
            Planned(
                type=COMPONENT,
                name="ml",
                inputs=_cluster(COMPONENT, version="latest", endpointPrivateAccess=False),
                component=True,
            ),
            Planned(
                type=AWS,
                name="inside",
                inputs=_cluster(AWS, version="latest", endpointPrivateAccess=False),
                parent="ml",
            ),
        ),
        mended={
            ("ml", "version"): _COMING,
            ("ml", "endpointPrivateAccess"): True,
            ("inside", "version"): _COMING,
            ("inside", "vpcConfig", "endpointPrivateAccess"): "true",
        },
    ),
    State(
        name="component-that-shows-nothing",
        fires=frozenset({"eks-component-contents"}),
        resources=(Planned(type="eks:index:ManagedNodeGroup", name="system", component=True),),
        more=(
            Planned(
                type="aws:eks/nodeGroup:NodeGroup",
                name="inside",
                inputs={"launchTemplate": {"name": "system", "version": "7"}, "diskSize": None, "tags": TAGS},
                parent="system",
            ),
        ),
    ),
    State(
        name="support-ends",
        fires=frozenset({"eks-support-ends-soon"}),
        resources=(Planned(type=AWS, name="ml", inputs=_cluster(AWS, version=_NEWEST)),),
        mended={("ml", "version"): _COMING},
        config={"eks-support-ends-soon": {"days": 3650}},
    ),
    State(  # YAML's 1.30 without quotes
        name="version-as-a-number",
        fires=frozenset({"eks-supported-version"}),
        resources=(Planned(type=AWS, name="ml", inputs=_cluster(AWS, version=1.3)),),
        mended={("ml", "version"): _COMING},
    ),
)

_DISK: Final = {"deviceName": "/dev/xvda", "ebs": {"volumeSize": 80, "volumeType": "gp3", "encrypted": "true"}}
_METADATA: Final = {"httpEndpoint": "enabled", "httpTokens": "required", "httpPutResponseHopLimit": 1}
_TEMPLATE: Final = Planned(
    type="aws:ec2/launchTemplate:LaunchTemplate",
    name="template",
    inputs={
        "blockDeviceMappings": [_DISK],
        "metadataOptions": _METADATA,
        "tagSpecifications": [{"resourceType": kind, "tags": TAGS} for kind in ("instance", "volume")],
    },
)

_MACHINES: Final = (
    State(
        name="second-disk-in-the-clear",
        fires=frozenset({"node-encrypted-volumes"}),
        resources=(
            Planned(
                type=_TEMPLATE.type,
                name="template",
                inputs={
                    **_TEMPLATE.inputs,
                    "blockDeviceMappings": [_DISK, {"deviceName": "/dev/xvdb", "ebs": {"volumeSize": 400.0}}],
                },
            ),
        ),
        mended={("template", "blockDeviceMappings", 1, "ebs", "encrypted"): True},
    ),
    State(
        name="access-for-root",
        fires=frozenset({"eks-no-root-access"}),
        resources=(
            Planned(
                type="aws:eks/accessEntry:AccessEntry",
                name="root",
                inputs={"clusterName": "ml", "principalArn": "arn:aws:iam::111122223333:root"},
            ),
        ),
        mended={("root", "principalArn"): "arn:aws:iam::111122223333:role/admin"},
    ),
    State(
        name="template-with-a-gpu-on-demand",
        fires=frozenset({"gpu-launch-template-is-spot"}),
        resources=(
            Planned(type=_TEMPLATE.type, name="template", inputs={**_TEMPLATE.inputs, "instanceType": "g6.xlarge"}),
        ),
        mended={("template", "instanceMarketOptions"): {"marketType": "spot"}},
    ),
    State(
        name="ssh-key-for-node-group",
        fires=frozenset({"node-no-ssh"}),
        resources=(
            _TEMPLATE,
            Planned(
                type="aws:eks/nodeGroup:NodeGroup",
                name="system",
                inputs={
                    "instanceTypes": ["m7i.large"],
                    "launchTemplate": {"id": id_of("template"), "version": "1"},
                    "remoteAccess": {"ec2SshKey": secret("admin"), "sourceSecurityGroupIds": ["sg-1"]},
                    "scalingConfig": {"minSize": 2, "maxSize": 3, "desiredSize": 2},
                    "tags": TAGS,
                },
            ),
        ),
        mended={("system", "remoteAccess"): None},
    ),
    State(
        name="node-group-of-a-component",
        fires=frozenset({"gpu-on-demand-needs-justification"}),
        resources=(
            _TEMPLATE,
            Planned(type=COMPONENT, name="ml", component=True),
            Planned(type=AWS, name="inside", inputs=_cluster(AWS), parent="ml"),
            Planned(
                type="eks:index:ManagedNodeGroup",
                name="gpus",
                inputs={
                    "cluster": itself("ml"),
                    "nodeRole": itself("inside"),
                    "instanceTypes": ["g5.xlarge"],
                    "launchTemplate": {"id": itself("template"), "version": "1"},
                    "scalingConfig": {"maxSize": 1.0},
                },
                component=True,
            ),
        ),
        mended={("gpus", "capacityType"): "SPOT"},
    ),
    State(
        name="group-half-on-demand",
        fires=frozenset({"gpu-on-demand-needs-justification"}),
        resources=(
            _TEMPLATE,
            Planned(
                type="aws:autoscaling/group:Group",
                name="group",
                inputs={
                    "maxSize": 2,
                    "minSize": 0,
                    "mixedInstancesPolicy": {
                        "launchTemplate": {
                            "launchTemplateSpecification": {"launchTemplateId": id_of("template")},
                            "overrides": [{"instanceType": "g6.xlarge"}, {"instanceType": "g5.xlarge"}],
                        },
                        "instancesDistribution": {"onDemandPercentageAboveBaseCapacity": 50.0},
                    },
                },
            ),
        ),
        mended={("group", "mixedInstancesPolicy", "instancesDistribution", "onDemandPercentageAboveBaseCapacity"): 0},
    ),
)

STATES: Final[tuple[State, ...]] = (*_NETWORK, *_DATA, *_CLUSTERS, *_MACHINES)
