"""Plants in moto's AWS one thing of every kind that a stack can leave, tagged as its maker tags it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from account.teardown.marks import DoorRecord
from gpu.checkpoints import bucket_stem
from tests.unit.account.world import ACCOUNT, REGION, ZONE, Answer, Parameters, World, moto

Tags = Mapping[str, str]

_ANOMALIES = ("cost anomaly monitors", "cost anomaly subscriptions")
_POLICY = '{"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Action": "ec2:RunInstances", "Resource": "*"}]}'


def program_tags(stack: str, cluster: str) -> dict[str, str]:
    """What the program writes on everything."""
    return {
        "cost-center": "research",
        "gpu-slices/stack": stack,
        "gpu-slices/cluster": cluster,
        "gpu-slices/region": REGION,
    }


def karpenter_tags(stack: str, cluster: str) -> dict[str, str]:
    """Karpenter's `GetTags` (aws/karpenter-provider-aws v1.15 pkg/utils/utils.go), with the EC2NodeClass's."""
    return {
        **program_tags(stack, cluster),
        "gpu-slices/pool": "shared",
        f"kubernetes.io/cluster/{cluster}": "owned",
        "karpenter.sh/nodepool": "shared",
        "eks:eks-cluster-name": cluster,
        "karpenter.k8s.aws/ec2nodeclass": "shared",
    }


def node_group_tags(cluster: str) -> dict[str, str]:
    """What EKS writes on the Auto Scaling group of a managed node group."""
    return {
        "eks:cluster-name": cluster,
        "eks:nodegroup-name": "system",
        "k8s.io/cluster-autoscaler/enabled": "true",
        f"kubernetes.io/cluster/{cluster}": "owned",
    }


def pairs(tags: Tags) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def specification(kind: str, tags: Tags) -> dict[str, Any]:
    return {"TagSpecifications": [{"ResourceType": kind, "Tags": pairs(tags)}]} if tags else {}


def door_of(cluster: str) -> DoorRecord:
    """Where the record of a cluster's door is."""
    return DoorRecord(ZONE, f"dialogue.{cluster}.gpu-slices.test")


def plant_record(door: DoorRecord, leads_to: str, type_: str = "A") -> None:
    """An alias, as the program writes it."""
    alias = {"HostedZoneId": "Z26RNL4JYFTOTI", "DNSName": leads_to, "EvaluateTargetHealth": False}
    record = {"Name": door.host, "Type": type_, "AliasTarget": alias}
    batch = {"Changes": [{"Action": "CREATE", "ResourceRecordSet": record}]}
    moto("route53").change_resource_record_sets(HostedZoneId=door.zone_id, ChangeBatch=batch)


class Planted:
    """One thing of every kind.

    stack, cluster: whose. tagged: whether anything carries a tag. named: whether names begin with the cluster's.
    """

    def __init__(self, stack: str, cluster: str, *, tagged: bool = True, named: bool = True) -> None:
        self.stack, self.cluster, self.tagged, self.named = stack, cluster, tagged, named
        self.name = cluster if named else f"other-{stack}"
        """Beginning of the names of what has one."""
        self.ids: dict[str, set[str]] = {}
        """Kind to what AWS calls its things."""
        self._network()
        self._compute()
        self._balancers()
        self._identity()
        self._services()

    def all(self) -> Iterator[tuple[str, str]]:
        """Kind and id of everything."""
        return ((kind, id_) for kind, ids in self.ids.items() for id_ in ids)

    def _note(self, kind: str, id_: str) -> str:
        self.ids.setdefault(kind, set()).add(id_)
        return id_

    def _tags(self, tags: Tags) -> dict[str, str]:
        return dict(tags) if self.tagged else {}

    @property
    def ours(self) -> dict[str, str]:
        return self._tags(program_tags(self.stack, self.cluster))

    @property
    def karpenters(self) -> dict[str, str]:
        return self._tags(karpenter_tags(self.stack, self.cluster))

    @property
    def in_tree(self) -> dict[str, str]:
        """Of a load balancer that cloud-provider-aws made for a Service."""
        owned = {f"kubernetes.io/cluster/{self.cluster}": "owned", "kubernetes.io/service-name": "default/web"}
        return self._tags(owned)

    def _network(self) -> None:
        ec2 = moto("ec2")
        vpc = ec2.create_vpc(CidrBlock="10.42.0.0/16", **specification("vpc", self.ours))["Vpc"]["VpcId"]
        self.vpc = self._note("VPCs", vpc)
        made = [
            ec2.create_subnet(VpcId=vpc, CidrBlock=cidr, AvailabilityZone=zone, **specification("subnet", self.ours))[
                "Subnet"
            ]["SubnetId"]
            for cidr, zone in (("10.42.0.0/20", "us-east-1a"), ("10.42.16.0/20", "us-east-1b"))
        ]
        self.subnets = [self._note("subnets", subnet) for subnet in made]
        table = ec2.create_route_table(VpcId=vpc, **specification("route-table", self.ours))["RouteTable"]
        self._note("route tables", table["RouteTableId"])
        ec2.associate_route_table(RouteTableId=table["RouteTableId"], SubnetId=self.subnets[0])
        gateway = ec2.create_internet_gateway(**specification("internet-gateway", self.ours))["InternetGateway"]
        self._note("internet gateways", gateway["InternetGatewayId"])
        ec2.attach_internet_gateway(InternetGatewayId=gateway["InternetGatewayId"], VpcId=vpc)
        address = ec2.allocate_address(Domain="vpc", **specification("elastic-ip", self.ours))["AllocationId"]
        self._note("elastic addresses", address)
        nat = ec2.create_nat_gateway(
            AllocationId=address, SubnetId=self.subnets[0], **specification("natgateway", self.ours)
        )
        self._note("NAT gateways", nat["NatGateway"]["NatGatewayId"])
        endpoint = ec2.create_vpc_endpoint(
            VpcId=vpc,
            VpcEndpointType="Gateway",
            ServiceName=f"com.amazonaws.{REGION}.s3",
            RouteTableIds=[table["RouteTableId"]],
            **specification("vpc-endpoint", self.ours),
        )
        self._note("VPC endpoints", endpoint["VpcEndpoint"]["VpcEndpointId"])
        groups = [
            ec2.create_security_group(
                GroupName=f"{self.name}-{role}",
                Description="planted",
                VpcId=vpc,
                **specification("security-group", tags),
            )["GroupId"]
            for role, tags in (("endpoints", self.ours), ("k8s-elb", self.in_tree))
        ]
        self.groups = [self._note("security groups", group) for group in groups]
        # Each lets the other in, as the door's and the nodes' do.
        for group, other in (groups, groups[::-1]):
            ec2.authorize_security_group_ingress(
                GroupId=group,
                IpPermissions=[
                    {"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "UserIdGroupPairs": [{"GroupId": other}]}
                ],
            )
        cni = self._tags({"cluster.k8s.amazonaws.com/name": self.cluster, "node.k8s.amazonaws.com/instance_id": "i-0"})
        interface = ec2.create_network_interface(
            SubnetId=self.subnets[0], Description="aws-K8S-i-0", **specification("network-interface", cni)
        )["NetworkInterface"]["NetworkInterfaceId"]
        self._note("network interfaces", interface)

    def _compute(self) -> None:
        ec2 = moto("ec2")
        image = "ami-12c6146b"  # moto's own
        instance = ec2.run_instances(
            ImageId=image,
            InstanceType="g5.xlarge",
            MinCount=1,
            MaxCount=1,
            SubnetId=self.subnets[0],
            **specification("instance", self.karpenters),
        )["Instances"][0]
        self._note("EC2 instances", instance["InstanceId"])
        template = ec2.create_launch_template(
            LaunchTemplateName=f"karpenter.k8s.aws/{self.name}",
            LaunchTemplateData={"ImageId": image, "InstanceType": "g5.xlarge"},
            **specification("launch-template", self.karpenters),
        )["LaunchTemplate"]["LaunchTemplateId"]
        self._note("launch templates", template)
        moto("autoscaling").create_auto_scaling_group(
            AutoScalingGroupName=self._note("Auto Scaling groups", f"eks-system-{self.name}"),
            LaunchTemplate={"LaunchTemplateId": template},
            MinSize=0,
            MaxSize=2,
            DesiredCapacity=0,
            VPCZoneIdentifier=self.subnets[0],
            Tags=[
                {**pair, "PropagateAtLaunch": True, "ResourceId": "", "ResourceType": "auto-scaling-group"}
                for pair in pairs(self._tags(node_group_tags(self.cluster)))
            ],
        )
        request = ec2.request_spot_instances(
            InstanceCount=1,
            LaunchSpecification={"ImageId": image, "InstanceType": "g5.xlarge", "SubnetId": self.subnets[0]},
            Type="persistent",
        )["SpotInstanceRequests"][0]["SpotInstanceRequestId"]
        if self.tagged:
            ec2.create_tags(Resources=[request], Tags=pairs(self.karpenters))
        self._note("Spot requests", request)
        # The EBS CSI driver's (kubernetes-sigs/aws-ebs-csi-driver docs/tagging.md), with the provisioner's metadata.
        csi = self._tags(
            {
                "ebs.csi.aws.com/cluster": "true",
                f"kubernetes.io/cluster/{self.cluster}": "owned",
                "kubernetes.io/created-for/pvc/name": "data",
                "kubernetes.io/created-for/pvc/namespace": "default",
            }
        )
        volume = ec2.create_volume(
            AvailabilityZone="us-east-1a", Size=50, VolumeType="gp3", **specification("volume", csi)
        )["VolumeId"]
        self.volume = self._note("EBS volumes", volume)
        snapshot = ec2.create_snapshot(VolumeId=volume, **specification("snapshot", csi))["SnapshotId"]
        self._note("EBS snapshots", snapshot)

    def _balancers(self) -> None:
        elb = moto("elb")
        name = self._note("classic load balancers", f"a1-{self.name}"[-32:])
        elb.create_load_balancer(
            LoadBalancerName=name,
            Listeners=[{"Protocol": "tcp", "LoadBalancerPort": 80, "InstancePort": 30080}],
            Subnets=self.subnets[:1],
            **({"Tags": pairs(self.in_tree)} if self.tagged else {}),
        )
        elbv2 = moto("elbv2")
        name = self._note("load balancers", f"k8s-{self.name}"[-32:])
        controller = self._tags({"elbv2.k8s.aws/cluster": self.cluster, "service.k8s.aws/stack": "default/api"})
        made = elbv2.create_load_balancer(
            Name=name, Type="network", Subnets=self.subnets, **({"Tags": pairs(controller)} if self.tagged else {})
        )["LoadBalancers"][0]
        plant_record(door_of(self.name), made["DNSName"])
        self._note("DNS records of the door", f"{ZONE}_{door_of(self.name).host}_A")
        name = self._note("target groups", f"tg-{self.name}"[-32:])
        elbv2.create_target_group(
            Name=name,
            Protocol="TCP",
            Port=80,
            VpcId=self.vpc,
            **({"Tags": pairs(self.ours)} if self.tagged else {}),
        )

    def _identity(self) -> None:
        iam = moto("iam")
        role = self._note("IAM roles", f"{self.name}-karpenter-node")
        iam.create_role(RoleName=role, AssumeRolePolicyDocument="{}", Tags=pairs(self.ours))
        policy = iam.create_policy(
            PolicyName=self._note("IAM policies", f"{self.name}-brake"),
            PolicyDocument=_POLICY,
            Tags=pairs(self.ours),
        )["Policy"]["Arn"]
        iam.attach_role_policy(RoleName=role, PolicyArn=policy)
        iam.put_role_policy(RoleName=role, PolicyName="inline", PolicyDocument=_POLICY)
        profile = self._note("instance profiles", f"{self.name}_1234567890")
        region = {"topology.kubernetes.io/region": REGION} if self.tagged else {}
        iam.create_instance_profile(InstanceProfileName=profile, Tags=pairs({**self.karpenters, **region}))
        iam.add_role_to_instance_profile(InstanceProfileName=profile, RoleName=role)

    def _services(self) -> None:
        events = moto("events")
        rule = self._note("EventBridge rules", f"{self.name}-spot")
        events.put_rule(Name=rule, EventPattern='{"source": ["aws.ec2"]}', Tags=pairs(self.ours))
        queue = moto("sqs").create_queue(QueueName=f"{self.name}-interruption", tags=self.ours)["QueueUrl"]
        self._note("SQS queues", queue)
        events.put_targets(Rule=rule, Targets=[{"Id": "1", "Arn": f"arn:aws:sqs:{REGION}:{ACCOUNT}:q"}])
        moto("budgets").create_budget(
            AccountId=ACCOUNT,
            Budget={
                "BudgetName": self._note("budgets", self.name),
                "BudgetType": "COST",
                "TimeUnit": "MONTHLY",
                "BudgetLimit": {"Amount": "400", "Unit": "USD"},
            },
        )
        moto("dynamodb").create_table(
            TableName=self._note("DynamoDB tables", f"{self.name}-conversations"),
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            Tags=pairs(self.ours),
        )
        bucket = self._note("S3 buckets", f"{bucket_stem(self.name, REGION)}{ACCOUNT}")
        moto("s3").create_bucket(Bucket=bucket)
        moto("s3").put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": pairs(self.ours)})
        for key in ("train/run/0/attempts/000001", "train/run/0/checkpoints/000001-000001/manifest.json"):
            moto("s3").put_object(Bucket=bucket, Key=key, Body=b"{}")
        logs = moto("logs")
        # What EKS makes again from late deliveries has no tags; neither have Container Insights' groups.
        for group in (f"/aws/eks/{self.name}/cluster", f"/aws/containerinsights/{self.name}/performance"):
            logs.create_log_group(logGroupName=self._note("log groups", group))
        logs.create_log_group(logGroupName=self._note("log groups", f"/aws/vpc/{self.name}/flow-logs"), tags=self.ours)
        log = moto("ec2").create_flow_logs(
            ResourceIds=[self.vpc],
            ResourceType="VPC",
            TrafficType="ALL",
            LogDestinationType="cloud-watch-logs",
            LogGroupName=f"/aws/vpc/{self.name}/flow-logs",
            DeliverLogsPermissionArn=f"arn:aws:iam::{ACCOUNT}:role/{self.name}-karpenter-node",
            **specification("vpc-flow-log", self.ours),
        )["FlowLogIds"][0]
        self._note("VPC flow logs", log)
        topic = moto("sns").create_topic(Name=f"{self.name}-alerts", Tags=pairs(self.ours))["TopicArn"]
        self._note("SNS topics", topic)
        cloudwatch = moto("cloudwatch")
        cloudwatch.put_metric_alarm(
            AlarmName=self._note("CloudWatch alarms", f"{self.name}-gpu-idle"),
            Namespace="ContainerInsights",
            MetricName="node_gpu_utilization",
            Statistic="Maximum",
            Period=300,
            EvaluationPeriods=1,
            Threshold=1.0,
            ComparisonOperator="LessThanThreshold",
            Tags=pairs(self.ours),
        )
        board = self._note("CloudWatch dashboards", f"{self.name}-gpus")
        cloudwatch.put_dashboard(DashboardName=board, DashboardBody='{"widgets": []}')
        for kind in ("monitor", "subscription"):
            arn = f"arn:aws:ce::{ACCOUNT}:anomaly{kind}/{self.stack}-{self.name}"
            self._note(f"cost anomaly {kind}s", arn)
        moto("ecr").create_repository(
            repositoryName=self._note("ECR repositories", f"{self.name}/dialogue"), tags=pairs(self.ours)
        )
        kms = moto("kms")
        key_tags = [{"TagKey": key, "TagValue": value} for key, value in self.ours.items()]
        key = kms.create_key(Description="planted", Tags=key_tags)["KeyMetadata"]["KeyId"]
        self._note("KMS keys", key)
        kms.create_alias(AliasName=self._note("KMS aliases", f"alias/{self.name}/data"), TargetKeyId=key)
        self.pending_key = kms.create_key(Description="planted", Tags=key_tags)["KeyMetadata"]["KeyId"]
        """A key that Pulumi has deleted."""
        kms.schedule_key_deletion(KeyId=self.pending_key, PendingWindowInDays=30)


def play_billing(world: World, *planted: Planted, status: str = "STANDBY") -> None:
    """What moto lacks: tags and actions of AWS Budgets, whose budgets are moto's, and Cost Anomaly Detection."""
    _play_anomalies(world, planted)
    actions = {each.name: ["a0000000-0000-0000-0000-000000000001"] for each in planted}

    def tags(parameters: Parameters) -> Mapping[str, Any]:
        name = parameters["ResourceARN"].rpartition("/")[2]
        return {"ResourceTags": next(pairs(each.ours) for each in planted if each.name == name)}

    def listed(parameters: Parameters) -> Mapping[str, Any]:
        name = parameters["BudgetName"]
        return {"Actions": [_action(name, id_, status) for id_ in actions[name]]}

    def deleted(parameters: Parameters) -> Mapping[str, Any]:
        name, id_ = parameters["BudgetName"], parameters["ActionId"]
        actions[name].remove(id_)
        return {"AccountId": ACCOUNT, "BudgetName": name, "Action": _action(name, id_, status)}

    world.planted["budgets:ListTagsForResource"] = tags
    world.planted["budgets:DescribeBudgetActionsForBudget"] = listed
    world.planted["budgets:DeleteBudgetAction"] = deleted


def _play_anomalies(world: World, planted: Sequence[Planted]) -> None:
    owners = {arn: each for each in planted for kind in _ANOMALIES for arn in each.ids[kind]}
    left = set(owners)

    def of(kind: str) -> list[str]:
        return sorted(arn for arn in left if f":{kind}/" in arn)

    def monitors(_: Parameters) -> Mapping[str, Any]:
        made = [{"MonitorArn": arn, "MonitorName": "it", "MonitorType": "CUSTOM"} for arn in of("anomalymonitor")]
        return {"AnomalyMonitors": made}

    def subscriptions(_: Parameters) -> Mapping[str, Any]:
        fixed = {"SubscriptionName": "it", "MonitorArnList": [], "Subscribers": [], "Frequency": "DAILY"}
        return {"AnomalySubscriptions": [{**fixed, "SubscriptionArn": arn} for arn in of("anomalysubscription")]}

    def deleted(parameters: Parameters) -> Mapping[str, Any]:
        left.remove(parameters.get("MonitorArn", parameters.get("SubscriptionArn")))
        return {}

    world.planted["ce:GetAnomalyMonitors"] = monitors
    world.planted["ce:GetAnomalySubscriptions"] = subscriptions
    world.planted["ce:ListTagsForResource"] = lambda asked: {"ResourceTags": pairs(owners[asked["ResourceArn"]].ours)}
    world.planted["ce:DeleteAnomalyMonitor"] = deleted
    world.planted["ce:DeleteAnomalySubscription"] = deleted


def _action(budget: str, id_: str, status: str) -> Mapping[str, Any]:
    role = f"arn:aws:iam::{ACCOUNT}:role/executor"
    return {
        "ActionId": id_,
        "BudgetName": budget,
        "NotificationType": "ACTUAL",
        "ActionType": "APPLY_IAM_POLICY",
        "ActionThreshold": {"ActionThresholdValue": 100.0, "ActionThresholdType": "PERCENTAGE"},
        "Definition": {"IamActionDefinition": {"PolicyArn": f"arn:aws:iam::{ACCOUNT}:policy/brake", "Roles": ["r"]}},
        "ExecutionRoleArn": role,
        "ApprovalModel": "AUTOMATIC",
        "Status": status,
        "Subscribers": [{"SubscriptionType": "EMAIL", "Address": "platform@example.com"}],
    }


def play_cluster(world: World, cluster: str, **more: Any) -> None:
    """A cluster with its parts, of which moto plays little."""
    arn = f"arn:aws:eks:{REGION}:{ACCOUNT}:cluster/{cluster}"
    described = {"name": cluster, "arn": arn, "status": "ACTIVE", "createdAt": datetime(2026, 1, 1, tzinfo=UTC), **more}
    parts: Mapping[str, Mapping[str, Any]] = {
        "DescribeCluster": {"cluster": described},
        "ListNodegroups": {"nodegroups": ["cluster-system-1"]},
        "ListAddons": {"addons": ["coredns", "vpc-cni"]},
        "ListAccessEntries": {"accessEntries": [f"arn:aws:iam::{ACCOUNT}:role/{cluster}-karpenter-node"]},
        "ListPodIdentityAssociations": {
            "associations": [{"clusterName": cluster, "namespace": "kube-system", "serviceAccount": "karpenter"}]
        },
    }
    for operation, answer in parts.items():
        world.planted[f"eks:{operation}"] = _always(answer)


def _always(answer: Mapping[str, Any]) -> Answer:
    return lambda _: answer
