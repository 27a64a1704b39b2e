"""The table of Terraform's types is what Pulumi's SDK says, for the types that rules know."""

from __future__ import annotations

import json

from policy.framework import matches
from policy.ondemand.aws import HANDLERS
from policy.pack import RULES
from tools import terraform_shapes

TABLE = {
    type_: entry
    for type_, entry in json.loads(terraform_shapes.TARGET.read_text(encoding="utf-8")).items()
    if type_.startswith("aws_")
}


def test_it_is_fresh() -> None:
    assert terraform_shapes.TARGET.read_text(encoding="utf-8") == terraform_shapes.document(), "run make docs"


def test_it_has_every_type_of_aws_that_a_rule_names() -> None:
    named = {pattern for rule in RULES for pattern in rule.types} | set(HANDLERS)
    wanted = {token for token in named if token.startswith("aws:") and "*" not in token} - terraform_shapes.OLDER
    assert {token for token, _ in TABLE.values()} >= wanted
    assert [token for token, _ in TABLE.values() if not matches(tuple(named - {"*"}), token)] == []


def test_shapes_tell_blocks_lists_and_maps_apart() -> None:
    token, shape = TABLE["aws_eks_node_group"]
    assert token == "aws:eks/nodeGroup:NodeGroup"
    assert (shape["scalingConfig"], shape["instanceTypes"], shape["taints"], shape["labels"]) == ({}, [], [{}], None)
