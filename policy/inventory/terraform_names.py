"""What Pulumi's AWS resources are called in Terraform.

Pulumi's AWS provider is bridged from Terraform's: types and properties correspond one to one, and differ in spelling.
Modules became part of the type (`aws:sqs/queue:Queue` is `aws_sqs_queue`), except for EC2's oldest resources; names are
camel case; blocks that may repeat got a plural.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

_WITHOUT_MODULE = frozenset({"ec2", "vpc", "lb", "alb", "ebs", "autoscaling"})
"""Modules that Terraform does not have: the type says it all, or begins with another word."""
_EXCEPTIONS: Mapping[str, str] = {
    "aws:autoscaling/attachment:Attachment": "aws_autoscaling_attachment",
    "aws:autoscaling/group:Group": "aws_autoscaling_group",
    "aws:costexplorer/anomalyMonitor:AnomalyMonitor": "aws_ce_anomaly_monitor",
    "aws:costexplorer/anomalySubscription:AnomalySubscription": "aws_ce_anomaly_subscription",
    "aws:ebs/encryptionByDefault:EncryptionByDefault": "aws_ebs_encryption_by_default",
    "aws:ebs/volume:Volume": "aws_ebs_volume",
    "aws:ec2/capacityBlockReservation:CapacityBlockReservation": "aws_ec2_capacity_block_reservation",
    "aws:ec2/capacityReservation:CapacityReservation": "aws_ec2_capacity_reservation",
    "aws:ec2/dedicatedHost:DedicatedHost": "aws_ec2_host",
    "aws:ec2/fleet:Fleet": "aws_ec2_fleet",
    "aws:ec2/instanceMetadataDefaults:InstanceMetadataDefaults": "aws_ec2_instance_metadata_defaults",
    "aws:ec2/managedPrefixList:ManagedPrefixList": "aws_ec2_managed_prefix_list",
    "aws:ec2/managedPrefixListEntry:ManagedPrefixListEntry": "aws_ec2_managed_prefix_list_entry",
    "aws:ec2/tag:Tag": "aws_ec2_tag",
    "aws:elasticbeanstalk/configurationTemplate:ConfigurationTemplate": "aws_elastic_beanstalk_configuration_template",
    "aws:elasticbeanstalk/environment:Environment": "aws_elastic_beanstalk_environment",
    "aws:fsx/openZfsFileSystem:OpenZfsFileSystem": "aws_fsx_openzfs_file_system",
    "aws:lb/listener:Listener": "aws_lb_listener",
    "aws:lb/listenerRule:ListenerRule": "aws_lb_listener_rule",
    "aws:lb/loadBalancer:LoadBalancer": "aws_lb",
    "aws:lb/targetGroup:TargetGroup": "aws_lb_target_group",
    "aws:rds/instance:Instance": "aws_db_instance",
    "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule": "aws_vpc_security_group_egress_rule",
    "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule": "aws_vpc_security_group_ingress_rule",
}

_SINGULAR: Mapping[str, str] = {
    "aliases": "alias",
    "costFilters": "cost_filter",
    "defaultActions": "default_action",
    "encryptionConfigurations": "encryption_configuration",
    "filters": "filter",
    "metricQueries": "metric_query",
    "monitorArnLists": "monitor_arn_list",
    "notifications": "notification",
    "podIdentityAssociations": "pod_identity_association",
    "routes": "route",
    "rules": "rule",
    "subscribers": "subscriber",
    "taints": "taint",
}
"""Blocks that may repeat, where the plural is more than Terraform's name with another ending."""

FREE_FORM = frozenset({"dimensions", "labels", "tags", "variables"})
"""Maps whose keys are the user's own words."""


def terraform_type(token: str) -> str:
    """Terraform's resource type for a token such as `aws:ec2/vpc:Vpc`."""
    if token in _EXCEPTIONS:
        return _EXCEPTIONS[token]
    _, module, name = token.split(":")
    module = module.partition("/")[0]
    prefix = "" if module in _WITHOUT_MODULE else f"{module}_"
    return f"aws_{prefix}{snake_case(name)}"


def terraform_key(key: str) -> str:
    """Terraform's argument for a property such as `cidrBlock`."""
    return _SINGULAR.get(key) or snake_case(key)


def snake_case(name: str) -> str:
    """`launchTemplate` as `launch_template`, `cidrIpv4` as `cidr_ipv4`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def camel_case(name: str) -> str:
    """`launch_template` as `launchTemplate`: what `snake_case` came from, but for the plural."""
    return re.sub(r"_([a-z0-9])", lambda found: found[1].upper(), name)


def plurals(name: str) -> tuple[str, ...]:
    """What Pulumi may call a block that may repeat: `taints` for `taint`, `inlinePolicies` for `inlinePolicy`."""
    return (f"{name}s", f"{name}es", f"{name[:-1]}ies") if name.endswith("y") else (f"{name}s", f"{name}es")


def local_name(name: str) -> str:
    """A Terraform name for a Pulumi one: letters, digits, `_` and `-`, no digit first."""
    clean = re.sub(r"[^A-Za-z0-9_-]", "_", name)
    return clean if re.match(r"[A-Za-z_]", clean) else f"_{clean}"
