"""What components see of a resource that is registered by its type token: the same as of the SDK's class."""

from __future__ import annotations

import pytest

from components.sdk import aws
from tests.unit.components.recording import record


def test_outputs_read_as_from_the_sdk() -> None:
    read: dict[str, object] = {}

    def program() -> None:
        scaling = aws.eks.NodeGroupScalingConfigArgs(min_size=1, desired_size=1, max_size=1)
        nodes = aws.eks.NodeGroup("n", cluster_name="c", node_role_arn="r", subnet_ids=["s"], scaling_config=scaling)
        template = aws.ec2.LaunchTemplate("t", block_device_mappings=[])
        nodes.resources.apply(lambda found: read.update(group=(found[0].autoscaling_groups or [])[0].name))
        template.latest_version.apply(lambda found: read.update(version=found))
        nodes.cluster_name.apply(lambda found: read.update(cluster=found))
        nodes.id.apply(lambda found: read.update(id=found))

    record(program)

    assert read == {"group": "eks-system", "version": 1, "cluster": "c", "id": "n-id"}
    assert isinstance(read["version"], int)


def test_arguments_have_the_providers_names() -> None:
    def program() -> None:
        aws.ec2.LaunchTemplate(
            "t",
            metadata_options=aws.ec2.LaunchTemplateMetadataOptionsArgs(http_put_response_hop_limit=1),
            tags={"a_tag": "keeps_its_name"},
        )

    inputs = record(program).one("aws:ec2/launchTemplate:LaunchTemplate").inputs

    assert inputs == {"metadataOptions": {"httpPutResponseHopLimit": 1}, "tags": {"a_tag": "keeps_its_name"}}


def test_an_output_that_is_not_listed_says_where_to_list_it() -> None:
    def program() -> None:
        with pytest.raises(AttributeError, match=r"has no owner_id: list the output in components\.sdk"):
            _ = aws.ec2.Vpc("v").owner_id

    record(program)
