"""Log groups, queues, event rules, budgets, tables, image repositories and keys."""

from __future__ import annotations

from collections.abc import Iterator

from account.teardown.kinds import Call, Eyes, Item, Kind, Leftover, Step
from account.teardown.marks import tags_of

_RULES = Call("events", "list_rules")
_RULE_TAGS = Call("events", "list_tags_for_resource")
_RULE_TARGETS = Call("events", "list_targets_by_rule")
_REMOVE_TARGETS = Call("events", "remove_targets")
_DELETE_RULE = Call("events", "delete_rule")
_QUEUE = Call("sqs", "get_queue_url")
_QUEUE_TAGS = Call("sqs", "list_queue_tags")
_DELETE_QUEUE = Call("sqs", "delete_queue")
_BUDGET = Call("budgets", "describe_budget")
_BUDGET_TAGS = Call("budgets", "list_tags_for_resource")
_ACTIONS = Call("budgets", "describe_budget_actions_for_budget")
_DELETE_ACTION = Call("budgets", "delete_budget_action")
_DELETE_BUDGET = Call("budgets", "delete_budget")
_TABLE = Call("dynamodb", "describe_table")
_TABLE_TAGS = Call("dynamodb", "list_tags_of_resource")
_DELETE_TABLE = Call("dynamodb", "delete_table")
_LOG_GROUPS = Call("logs", "describe_log_groups")
_DELETE_LOG_GROUP = Call("logs", "delete_log_group")
_REPOSITORIES = Call("ecr", "describe_repositories")
_REPOSITORY_TAGS = Call("ecr", "list_tags_for_resource")
_DELETE_REPOSITORY = Call("ecr", "delete_repository")
_ALIASES = Call("kms", "list_aliases")
_DELETE_ALIAS = Call("kms", "delete_alias")
_KEYS = Call("kms", "list_keys")
_KEY = Call("kms", "describe_key")
_KEY_TAGS = Call("kms", "list_resource_tags")
_SCHEDULE = Call("kms", "schedule_key_deletion")

#: Services that write logs for a cluster, as they stand in the names of its log groups: `/aws/eks/<cluster>/cluster`.
LOG_SERVICES = ("eks", "vpc", "containerinsights")
#: The longest that KMS allows, and what the program asks for (components.cluster.encryption).
KEY_WINDOW_DAYS = 30


def _rules(eyes: Eyes) -> Iterator[Leftover]:
    # The beginning only shortens the list; the tags decide.
    for rule in eyes.collect(_RULES, "Rules[]", NamePrefix=f"{eyes.cluster}-"):
        name = rule["Name"]
        tags = tags_of(
            eyes.collect(_RULE_TAGS, "Tags[]", absent=["ResourceNotFoundException"], ResourceARN=rule["Arn"])
        )
        if eyes.marks.mark(tags) is None:
            continue
        targets = eyes.collect(_RULE_TARGETS, "Targets[].Id", absent=["ResourceNotFoundException"], Rule=name)
        remove = [Step(_REMOVE_TARGETS, {"Rule": name, "Ids": targets})] if targets else []
        found = eyes.left(name, tags, name="", arn=rule["Arn"], steps=(*remove, Step(_DELETE_RULE, {"Name": name})))
        if found:
            yield found


def _queues(eyes: Eyes) -> Iterator[Leftover]:
    absent = ["AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist"]
    name = f"{eyes.cluster}-interruption"
    answer = eyes.ask(_QUEUE, absent=absent, QueueName=name)
    tags = eyes.ask(_QUEUE_TAGS, absent=absent, QueueUrl=answer["QueueUrl"]) if answer else None
    if answer and tags is not None:
        url = answer["QueueUrl"]
        found = eyes.left(url, tags.get("Tags", {}), name=name, steps=(Step(_DELETE_QUEUE, {"QueueUrl": url}),))
        if found:
            yield found


def _budgets(eyes: Eyes) -> Iterator[Leftover]:
    who = {"AccountId": eyes.caller.account, "BudgetName": eyes.cluster}
    if eyes.ask(_BUDGET, absent=["NotFoundException"], **who) is None:
        return
    arn = f"arn:{eyes.caller.partition}:budgets::{eyes.caller.account}:budget/{eyes.cluster}"
    tags = tags_of(eyes.collect(_BUDGET_TAGS, "ResourceTags[]", absent=["NotFoundException"], ResourceARN=arn))
    actions = eyes.collect(_ACTIONS, "Actions[]", absent=["NotFoundException"], **who)
    delete = [Step(_DELETE_ACTION, {**who, "ActionId": action["ActionId"]}) for action in actions]
    found = eyes.left(
        eyes.cluster,
        tags,
        worldwide=True,
        name="",
        state=", ".join(f"action {action['Status']}" for action in actions),
        arn=arn,
        steps=(*delete, Step(_DELETE_BUDGET, who)),
    )
    if found:
        yield found


def _tables(eyes: Eyes) -> Iterator[Leftover]:
    name, absent = f"{eyes.cluster}-conversations", ["ResourceNotFoundException"]
    answer = eyes.ask(_TABLE, absent=absent, TableName=name)
    if answer is None:
        return
    table = answer["Table"]
    tags = tags_of(eyes.collect(_TABLE_TAGS, "Tags[]", absent=absent, ResourceArn=table["TableArn"]))
    step = Step(_DELETE_TABLE, {"TableName": name})
    found = eyes.left(name, tags, name="", state=table["TableStatus"], arn=table["TableArn"], steps=(step,))
    if found:
        yield found


def _log_groups(eyes: Eyes) -> Iterator[Leftover]:
    # By name: what EKS makes again from late deliveries carries no tag. The name holds the cluster's between slashes.
    for service in LOG_SERVICES:
        beginning = f"/aws/{service}/{eyes.cluster}/"
        for group in eyes.collect(_LOG_GROUPS, "logGroups[]", logGroupNamePrefix=beginning):
            name, days = group["logGroupName"], group.get("retentionInDays")
            yield Leftover(
                kind=eyes.kind.name,
                id=name,
                why=f"name {beginning}*",
                state=f"kept for {days} days" if days else "kept for ever",
                usd_per_month=eyes.costs.logs(group.get("storedBytes", 0)),
                arn=group.get("arn", ""),
                steps=(Step(_DELETE_LOG_GROUP, {"logGroupName": name}),),
            )


def _repositories(eyes: Eyes) -> Iterator[Leftover]:
    def look(repository: Item) -> Leftover | None:
        name, arn = repository["repositoryName"], repository["repositoryArn"]
        absent = ["RepositoryNotFoundException"]
        tags = tags_of(eyes.collect(_REPOSITORY_TAGS, "tags[]", absent=absent, resourceArn=arn))
        step = Step(_DELETE_REPOSITORY, {"repositoryName": name, "force": True})
        return eyes.left(name, tags, name="", arn=arn, steps=(step,))

    beginning = f"{eyes.cluster}/"
    repositories = eyes.collect(_REPOSITORIES, "repositories[]")
    return eyes.each([each for each in repositories if each["repositoryName"].startswith(beginning)], look)


def _aliases(eyes: Eyes) -> Iterator[Leftover]:
    for alias in eyes.collect(_ALIASES, "Aliases[]"):
        name = alias["AliasName"]
        if name.startswith(f"alias/{eyes.cluster}/"):
            why = f"name alias/{eyes.cluster}/*"
            step = Step(_DELETE_ALIAS, {"AliasName": name})
            yield Leftover(kind=eyes.kind.name, id=name, why=why, arn=alias.get("AliasArn", ""), steps=(step,))


def _keys(eyes: Eyes) -> Iterator[Leftover]:
    def look(listed: Item) -> Leftover | None:
        id_ = listed["KeyId"]
        answer = eyes.ask(_KEY, absent=["NotFoundException"], KeyId=id_)
        if answer is None or answer["KeyMetadata"].get("KeyManager") == "AWS":
            return None
        key = answer["KeyMetadata"]
        tags = tags_of(eyes.collect(_KEY_TAGS, "Tags[]", absent=["NotFoundException"], KeyId=id_))
        if key["KeyState"] == "PendingDeletion":
            on = key.get("DeletionDate")
            date = f"{on:%Y-%m-%d}" if on else "a day that KMS does not tell"
            return eyes.left(id_, tags, fate="scheduled", state=f"deleted on {date}", arn=key["Arn"])
        step = Step(_SCHEDULE, {"KeyId": id_, "PendingWindowInDays": KEY_WINDOW_DAYS})
        cost = eyes.costs.key
        return eyes.left(id_, tags, state=key["KeyState"], usd_per_month=cost, arn=key["Arn"], steps=(step,))

    return eyes.each(eyes.collect(_KEYS, "Keys[]"), look)


RULES = Kind(
    name="EventBridge rules",
    look=_rules,
    reads=(_RULES, _RULE_TAGS, _RULE_TARGETS),
    deletes=(_REMOVE_TARGETS, _DELETE_RULE),
)
QUEUES = Kind(name="SQS queues", look=_queues, reads=(_QUEUE, _QUEUE_TAGS), deletes=(_DELETE_QUEUE,))
BUDGETS = Kind(
    name="budgets",
    look=_budgets,
    reads=(_BUDGET, _BUDGET_TAGS, _ACTIONS),
    deletes=(_DELETE_ACTION, _DELETE_BUDGET),
)
TABLES = Kind(name="DynamoDB tables", look=_tables, reads=(_TABLE, _TABLE_TAGS), deletes=(_DELETE_TABLE,), data=True)
LOG_GROUPS = Kind(name="log groups", look=_log_groups, reads=(_LOG_GROUPS,), deletes=(_DELETE_LOG_GROUP,), data=True)
REPOSITORIES = Kind(
    name="ECR repositories",
    look=_repositories,
    reads=(_REPOSITORIES, _REPOSITORY_TAGS),
    deletes=(_DELETE_REPOSITORY,),
)
ALIASES = Kind(name="KMS aliases", look=_aliases, reads=(_ALIASES,), deletes=(_DELETE_ALIAS,))
KEYS = Kind(name="KMS keys", look=_keys, reads=(_KEYS, _KEY, _KEY_TAGS), deletes=(_SCHEDULE,), data=True, last=True)
