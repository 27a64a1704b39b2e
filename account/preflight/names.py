"""Names that the stack takes in the account: each must be free, or AWS refuses the second thing of that name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from account.commands import CALLERS_ACCOUNT, Command, aws
from account.preflight.requirement import Missing, Note, Ok, Requirement, Sight, Verdict
from account.session import Absent, Answer, Found, Unseen
from config.schema import StackConfig
from gpu.contract import STACK_TAG
from plan.make import Plan

TOPIC = "Names and leftovers"

Options = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Named:
    """A kind of thing with a name of its own: how to ask for it, and how to remove one that nobody needs.

    options: of the command, from the name and the account's id; boto3's parameters are these in other letters.
    absent: error codes for "there is none". remove: operation that removes it; None where more than one is needed.
    """

    noun: str
    service: str
    operation: str
    options: Callable[[str, str], Options]
    absent: tuple[str, ...]
    remove: str | None = None
    remove_options: Callable[[str], Options] | None = None


def _plain(noun: str, service: str, operation: str, option: str, *absent: str) -> Named:
    """A thing that is asked for by its name alone, and whose removal takes more than one call."""
    return Named(noun=noun, service=service, operation=operation, options=lambda name, _: {option: name}, absent=absent)


#: By type of the resource in the plan. Error codes are those of botocore's service models.
NAMED: Mapping[str, Named] = {
    "eks:index:Cluster": _plain("EKS cluster", "eks", "describe_cluster", "name", "ResourceNotFoundException"),
    "aws:kms/alias:Alias": Named(
        noun="KMS alias",
        service="kms",
        operation="describe_key",
        options=lambda name, _: {"KeyId": name},
        absent=("NotFoundException",),
        remove="delete_alias",
        remove_options=lambda name: {"AliasName": name},
    ),
    "aws:sqs/queue:Queue": _plain(
        "SQS queue",
        "sqs",
        "get_queue_url",
        "QueueName",
        "AWS.SimpleQueueService.NonExistentQueue",
        "QueueDoesNotExist",
    ),
    "aws:cloudwatch/eventRule:EventRule": _plain(
        "EventBridge rule", "events", "describe_rule", "Name", "ResourceNotFoundException"
    ),
    "aws:iam/role:Role": _plain("IAM role", "iam", "get_role", "RoleName", "NoSuchEntity"),
    "aws:dynamodb/table:Table": _plain(
        "DynamoDB table", "dynamodb", "describe_table", "TableName", "ResourceNotFoundException"
    ),
    "aws:ecr/repository:Repository": Named(
        noun="ECR repository",
        service="ecr",
        operation="describe_repositories",
        options=lambda name, _: {"repositoryNames": [name]},
        absent=("RepositoryNotFoundException",),
    ),
    "aws:budgets/budget:Budget": Named(
        noun="budget",
        service="budgets",
        operation="describe_budget",
        options=lambda name, account: {"AccountId": account, "BudgetName": name},
        absent=("NotFoundException",),
        remove="delete_budget",
    ),
}

#: Log groups are listed by the beginning of their name, so the answer must be read.
LOG_GROUP = "aws:cloudwatch/logGroup:LogGroup"
#: So are topics, which are asked for by an ARN alone.
ALERT_TOPIC = "aws:sns/topic:Topic"


def requirements(plan: Plan, config: StackConfig) -> list[Requirement]:
    """Every name that the plan writes down, and the keys of an earlier life."""
    found = []
    for resource in plan.recording.resources:
        name = resource.inputs.get("name")
        if not isinstance(name, str):
            continue
        if resource.type == LOG_GROUP:
            found.append(_log_group(name, config.region))
        elif resource.type == ALERT_TOPIC:
            found.append(_topic(name, config.region))
        elif resource.type in NAMED:
            found.append(_named(NAMED[resource.type], name, config.region))
    return [*found, _keys(config)]


def _named(named: Named, name: str, region: str) -> Requirement:
    return Requirement(
        topic=TOPIC,
        what=f"the {named.noun} {name} is not there yet",
        look=[_command(named, named.operation, named.options(name, CALLERS_ACCOUNT), region)],
        good=f"Good is the error {' or '.join(named.absent)}: the name is free.",
        judge=partial(_judge_named, named, name),
    )


def _command(named: Named, operation: str, options: Options, region: str) -> Command:
    given = {_snake(key): value for key, value in options.items()}
    return aws(named.service, operation.replace("_", "-"), region=region, **given)


def _snake(name: str) -> str:
    """boto3's `KeyId` as the command's `key_id`."""
    from botocore import xform_name  # noqa: PLC0415  slow

    text: str = xform_name(name)
    return text


def _judge_named(named: Named, name: str, sight: Sight) -> Verdict:
    match sight.identity:
        case Found(identity):
            options = named.options(name, identity.account)
        case Unseen() as unseen:
            return unseen
        case Absent():
            raise AssertionError("there is always a caller")
    answer: Answer[Any] = sight.account.ask(named.service, named.operation, absent=named.absent, **options)
    match answer:
        case Absent():
            return Ok()
        case Unseen() as unseen:
            return unseen
        case Found():
            return _taken(named, name, options, sight)


def _own(sight: Sight) -> Ok | Unseen | None:
    """The verdict on something that is there, where it is the stack's own or may be."""
    match sight.up:
        case True:
            return Ok("the stack is up: it is its own")
        case False:
            return None
        case Unseen() as unseen:
            return unseen


def _taken(named: Named, name: str, options: Options, sight: Sight) -> Verdict:
    own = _own(sight)
    if own:
        return own
    detail = f"it is there, and the stack is not: remove it, or write another gpu-slices:cluster.name than {_of(sight)}"
    if named.remove is None:
        return Missing(detail)
    given = named.remove_options(name) if named.remove_options else options
    return Missing(detail, [_command(named, named.remove, given, sight.config.region)])


def _of(sight: Sight) -> str:
    return sight.config.cluster_name


# --- Log groups -------------------------------------------------------------------------------------------------------


def _log_group(name: str, region: str) -> Requirement:
    return Requirement(
        topic=TOPIC,
        what=f"the log group {name} is not there yet",
        look=[
            aws(
                "logs",
                "describe-log-groups",
                region=region,
                log_group_name_prefix=name,
                query="logGroups[].[logGroupName,retentionInDays,kmsKeyId]",
            )
        ],
        good="Good is an answer without this name.",
        judge=partial(_judge_log_group, name),
    )


def _judge_log_group(name: str, sight: Sight) -> Verdict:
    answer = sight.account.collect("logs", "describe_log_groups", "logGroups[].logGroupName", logGroupNamePrefix=name)
    if not isinstance(answer, Found):
        assert isinstance(answer, Unseen)
        return answer
    if name not in answer.value:
        return Ok()
    own = _own(sight)
    if own:
        return own
    detail = "it is there, and the stack is not: EKS makes its group again for logs that come after the destroy"
    return Missing(detail, [aws("logs", "delete-log-group", region=sight.config.region, log_group_name=name)])


# --- Topics -----------------------------------------------------------------------------------------------------------


def _topic(name: str, region: str) -> Requirement:
    return Requirement(
        topic=TOPIC,
        what=f"the SNS topic {name} is not there yet",
        look=[aws("sns", "list-topics", region=region, query=f"Topics[?ends_with(TopicArn,':{name}')].TopicArn")],
        good="Good is an empty answer.",
        judge=partial(_judge_topic, name),
    )


def _judge_topic(name: str, sight: Sight) -> Verdict:
    answer = sight.account.collect("sns", "list_topics", "Topics[].TopicArn")
    if not isinstance(answer, Found):
        assert isinstance(answer, Unseen)
        return answer
    left = [arn for arn in answer.value if arn.rpartition(":")[2] == name]
    if not left:
        return Ok()
    own = _own(sight)
    if own:
        return own
    detail = f"it is there, and the stack is not: remove it, or write another gpu-slices:cluster.name than {_of(sight)}"
    return Missing(detail, [aws("sns", "delete-topic", region=sight.config.region, topic_arn=left[0])])


# --- Keys -------------------------------------------------------------------------------------------------------------


def _keys(config: StackConfig) -> Requirement:
    return Requirement(
        topic=TOPIC,
        what="no KMS key of an earlier life of the stack waits for its deletion",
        look=[
            aws(
                "resourcegroupstaggingapi",
                "get-resources",
                region=config.region,
                tag_filters=f"Key={STACK_TAG},Values={config.stack}",
                resource_type_filters="kms:key",
                query="ResourceTagMappingList[].ResourceARN",
            )
        ],
        good="Good is an empty answer, or keys that wait for nothing: `aws kms describe-key` tells.",
        judge=_judge_keys,
    )


def _judge_keys(sight: Sight) -> Verdict:
    answer = sight.account.collect(
        "resourcegroupstaggingapi",
        "get_resources",
        "ResourceTagMappingList[].ResourceARN",
        TagFilters=[{"Key": STACK_TAG, "Values": [sight.config.stack]}],
        ResourceTypeFilters=["kms:key"],
    )
    if not isinstance(answer, Found):
        assert isinstance(answer, Unseen)
        return answer
    waiting = []
    for arn in answer.value:
        match sight.account.ask("kms", "describe_key", absent=["NotFoundException"], KeyId=arn):
            case Found(value):
                if value["KeyMetadata"]["KeyState"] == "PendingDeletion":
                    waiting.append(f"{arn} until {value['KeyMetadata']['DeletionDate']:%Y-%m-%d}")
            case Unseen() as unseen:
                return unseen
            case Absent():
                pass
    if waiting:
        return Note(f"{', '.join(waiting)}: it costs nothing, and what it encrypted can be restored until then")
    return Ok()
