"""Small Pulumi projects on disk, for tests of what runs them."""

from __future__ import annotations

import textwrap
from pathlib import Path

from plan.project import find_project, load_stack
from plan.record import Recording, record

PROGRAM = """
import pulumi
import pulumi_aws as aws
import pulumi_kubernetes as k8s


class Shop(pulumi.ComponentResource):
    def __init__(self, name, opts=None):
        super().__init__("shop:index:Shop", name, None, opts)
        inside = pulumi.ResourceOptions(parent=self)
        self.vpc = aws.ec2.Vpc(f"{name}-net", cidr_block="10.0.0.0/16", tags={"teamName": "a"}, opts=inside)
        self.subnets = [
            aws.ec2.Subnet(f"{name}-net-{i}", vpc_id=self.vpc.id, cidr_block=f"10.0.{i}.0/24", opts=inside)
            for i in range(5)
        ]
        self.role = aws.iam.Role(f"{name}-role", name="shop-role", assume_role_policy="{}", opts=inside)
        self.space = k8s.core.v1.Namespace(f"{name}-space", metadata={"name": "shop"}, opts=inside)
        self.settings = k8s.core.v1.ConfigMap(
            f"{name}-settings",
            metadata={"namespace": self.space.metadata["name"]},
            data={"role": self.role.arn, "greeting": pulumi.Config().get("greeting") or "hello"},
            opts=pulumi.ResourceOptions(
                parent=self, protect=True, custom_timeouts=pulumi.CustomTimeouts(delete="20m"), depends_on=self.subnets
            ),
        )
        self.register_outputs({})


cluster = k8s.Provider("cluster", kubeconfig="{}")
cloud = aws.Provider("cloud", region="eu-west-1")
shop = Shop("shop", opts=pulumi.ResourceOptions(providers=[cluster, cloud]))
pulumi.export("vpc", shop.vpc.id)
pulumi.export("account", aws.get_caller_identity_output().account_id)
"""


def write_project(
    directory: Path,
    program: str = PROGRAM,
    *,
    stack: str = "config: {}",
    project: str = "name: shop\nruntime: python",
    stack_name: str = "dev",
) -> Path:
    """A project in `directory` with one stack file."""
    (directory / "Pulumi.yaml").write_text(textwrap.dedent(project))
    (directory / f"Pulumi.{stack_name}.yaml").write_text(textwrap.dedent(stack))
    (directory / "__main__.py").write_text(textwrap.dedent(program))
    return directory


def record_program(directory: Path, program: str = PROGRAM, stack: str = "config: {}") -> Recording:
    """What a program registers."""
    project = find_project(write_project(directory, program, stack=stack))
    return record(project, load_stack(project, "dev"))
