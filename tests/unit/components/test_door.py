"""Door: an internal load balancer to the system nodes, and nothing wider open than it must be."""

from typing import Any

import pulumi_aws as aws
import pytest

from components.serving.door import Door, DoorArgs
from tests.unit.components.clusters import ARGS
from tests.unit.components.recording import Recording, record

BALANCER = "aws:lb/loadBalancer:LoadBalancer"
LISTENER = "aws:lb/listener:Listener"
TARGETS = "aws:lb/targetGroup:TargetGroup"
INGRESS = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"
EGRESS = "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule"
RECORD = "aws:route53/record:Record"
CERTIFICATE = "arn:aws:acm:us-east-1:111122223333:certificate/01234567-89ab-cdef-0123-456789abcdef"


def door(*, preview: bool = False, **arguments: Any) -> Recording[Door]:
    def program() -> Door:
        nodes = aws.eks.NodeGroup(
            "system",
            cluster_name="c",
            node_role_arn="r",
            subnet_ids=["subnet-1"],
            scaling_config={"min_size": 1, "desired_size": 2, "max_size": 3},
        )
        given = {
            "hosts": ["dialogue.chat.example.com"],
            "allowed_cidrs": ["10.8.0.0/16", "10.42.0.0/16"],
            "vpc_id": ARGS.vpc_id,
            "subnet_ids": ["subnet-1", "subnet-2"],
            "system_nodes": nodes,
            "node_security_group_id": "sg-nodes",
            **arguments,
        }
        return Door("door", DoorArgs(**given))

    return record(program, preview=preview)


def test_it_is_internal_and_has_its_own_security_group() -> None:
    balancer = door().one(BALANCER).inputs
    assert (balancer["internal"], balancer["loadBalancerType"]) == (True, "network")
    assert balancer["securityGroups"] == ["door-balancer-id"]
    assert balancer["enableCrossZoneLoadBalancing"] is True


def test_it_waits_long_for_silent_connections() -> None:
    listener = door(idle_seconds=1200).one(LISTENER).inputs
    assert (listener["protocol"], listener["port"], listener["tcpIdleTimeoutSeconds"]) == ("TCP", 80, 1200)


def test_it_ends_tls_or_passes_it_on() -> None:
    ended = door(certificate_arn=CERTIFICATE)
    listener = ended.one(LISTENER).inputs
    assert (listener["protocol"], listener["port"], listener["certificateArn"]) == ("TLS", 443, CERTIFICATE)
    # AWS refuses the attribute there.
    assert "tcpIdleTimeoutSeconds" not in listener
    assert ended.one(TARGETS).inputs["port"] == 31080
    passed = door(tls_in_cluster=True)
    assert (passed.one(LISTENER).inputs["protocol"], passed.one(LISTENER).inputs["port"]) == ("TCP", 443)
    assert passed.one(TARGETS).inputs["port"] == 31443


@pytest.mark.parametrize(
    ("arguments", "outer", "inner"),
    [({}, 80, 31080), ({"certificate_arn": CERTIFICATE}, 443, 31080), ({"tls_in_cluster": True}, 443, 31443)],
)
def test_only_one_port_is_open_on_each_side(arguments: dict[str, Any], outer: int, inner: int) -> None:
    recording = door(**arguments)
    people = [r.inputs for r in recording.of_type(INGRESS) if r.inputs["securityGroupId"] == "door-balancer-id"]
    assert {(r["cidrIpv4"], r["fromPort"], r["toPort"]) for r in people} == {
        ("10.8.0.0/16", outer, outer),
        ("10.42.0.0/16", outer, outer),
    }
    (into,) = [r.inputs for r in recording.of_type(INGRESS) if r.inputs["securityGroupId"] == "sg-nodes"]
    assert (into["referencedSecurityGroupId"], into["fromPort"], into["toPort"]) == ("door-balancer-id", inner, inner)
    out = recording.one(EGRESS).inputs
    assert (out["referencedSecurityGroupId"], out["fromPort"], out["toPort"]) == ("sg-nodes", inner, inner)


def test_who_sends_is_told_past_the_port_of_the_node() -> None:
    assert door().one(TARGETS).inputs["proxyProtocolV2"] is True


def test_the_system_nodes_are_its_targets_and_outlive_it() -> None:
    recording = door()
    attachment = recording.one("aws:autoscaling/attachment:Attachment")
    assert attachment.inputs["autoscalingGroupName"] == "eks-system"
    assert recording.outlives(recording.one("aws:eks/nodeGroup:NodeGroup"), attachment)


def test_records_only_where_there_is_a_zone() -> None:
    assert door().of_type(RECORD) == []
    inputs = door(zone_id="Z0123456789").one(RECORD).inputs
    assert (inputs["name"], inputs["type"]) == ("dialogue.chat.example.com", "A")


def test_a_preview_shows_it_before_there_are_nodes() -> None:
    assert door(preview=True).one(BALANCER).inputs["internal"] is True
