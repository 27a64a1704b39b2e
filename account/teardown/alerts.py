"""What tells people: the alert topic, CloudWatch's alarms and dashboards, Cost Anomaly Detection."""

from __future__ import annotations

from collections.abc import Iterator

from account.teardown.kinds import Call, Eyes, Item, Kind, Leftover, Step
from account.teardown.marks import tags_of

_TOPICS = Call("sns", "list_topics")
_TOPIC_TAGS = Call("sns", "list_tags_for_resource")
_DELETE_TOPIC = Call("sns", "delete_topic")
_ALARMS = Call("cloudwatch", "describe_alarms")
_ALARM_TAGS = Call("cloudwatch", "list_tags_for_resource")
_DELETE_ALARM = Call("cloudwatch", "delete_alarms")
_DASHBOARDS = Call("cloudwatch", "list_dashboards")
_DELETE_DASHBOARD = Call("cloudwatch", "delete_dashboards")
_MONITORS = Call("ce", "get_anomaly_monitors")
_SUBSCRIPTIONS = Call("ce", "get_anomaly_subscriptions")
_ANOMALY_TAGS = Call("ce", "list_tags_for_resource")
_DELETE_MONITOR = Call("ce", "delete_anomaly_monitor")
_DELETE_SUBSCRIPTION = Call("ce", "delete_anomaly_subscription")

_GONE = ["NotFound", "NotFoundException", "ResourceNotFound", "ResourceNotFoundException"]
_UNKNOWN = ["UnknownMonitorException", "UnknownSubscriptionException", "ResourceNotFoundException"]


def _topics(eyes: Eyes) -> Iterator[Leftover]:
    def look(topic: Item) -> Leftover | None:
        arn = topic["TopicArn"]
        tags = tags_of(eyes.collect(_TOPIC_TAGS, "Tags[]", absent=_GONE, ResourceArn=arn))
        return eyes.left(arn, tags, name="", arn=arn, steps=(Step(_DELETE_TOPIC, {"TopicArn": arn}),))

    # The beginning only shortens the list; the tags decide.
    topics = [each for each in eyes.collect(_TOPICS, "Topics[]") if f":{eyes.cluster}-" in each["TopicArn"]]
    return eyes.each(topics, look)


def _alarms(eyes: Eyes) -> Iterator[Leftover]:
    def look(alarm: Item) -> Leftover | None:
        name, arn = alarm["AlarmName"], alarm["AlarmArn"]
        tags = tags_of(eyes.collect(_ALARM_TAGS, "Tags[]", absent=_GONE, ResourceARN=arn))
        return eyes.left(name, tags, name="", arn=arn, steps=(Step(_DELETE_ALARM, {"AlarmNames": [name]}),))

    return eyes.each(eyes.collect(_ALARMS, "MetricAlarms[]", AlarmNamePrefix=f"{eyes.cluster}-"), look)


def _dashboards(eyes: Eyes) -> Iterator[Leftover]:
    # By name: dashboards carry no tags.
    name = f"{eyes.cluster}-gpus"
    for board in eyes.collect(_DASHBOARDS, "DashboardEntries[]", DashboardNamePrefix=name):
        if board["DashboardName"] == name:
            step = Step(_DELETE_DASHBOARD, {"DashboardNames": [name]})
            arn = board.get("DashboardArn", "")
            yield Leftover(kind=eyes.kind.name, id=name, why=f"name {name}", arn=arn, steps=(step,))


def _anomaly(eyes: Eyes, things: Call, items: str, arn_key: str, name_key: str, delete: Call) -> Iterator[Leftover]:
    def look(thing: Item) -> Leftover | None:
        arn = thing[arn_key]
        tags = tags_of(eyes.collect(_ANOMALY_TAGS, "ResourceTags[]", absent=_UNKNOWN, ResourceArn=arn))
        steps = (Step(delete, {arn_key: arn}),)
        return eyes.left(arn, tags, worldwide=True, name=thing[name_key], arn=arn, steps=steps)

    return eyes.each(eyes.collect(things, items), look)


def _monitors(eyes: Eyes) -> Iterator[Leftover]:
    return _anomaly(eyes, _MONITORS, "AnomalyMonitors[]", "MonitorArn", "MonitorName", _DELETE_MONITOR)


def _subscriptions(eyes: Eyes) -> Iterator[Leftover]:
    return _anomaly(
        eyes, _SUBSCRIPTIONS, "AnomalySubscriptions[]", "SubscriptionArn", "SubscriptionName", _DELETE_SUBSCRIPTION
    )


TOPICS = Kind(name="SNS topics", look=_topics, reads=(_TOPICS, _TOPIC_TAGS), deletes=(_DELETE_TOPIC,))
ALARMS = Kind(name="CloudWatch alarms", look=_alarms, reads=(_ALARMS, _ALARM_TAGS), deletes=(_DELETE_ALARM,))
DASHBOARDS = Kind(name="CloudWatch dashboards", look=_dashboards, reads=(_DASHBOARDS,), deletes=(_DELETE_DASHBOARD,))
SUBSCRIPTIONS = Kind(
    name="cost anomaly subscriptions",
    look=_subscriptions,
    reads=(_SUBSCRIPTIONS, _ANOMALY_TAGS),
    deletes=(_DELETE_SUBSCRIPTION,),
)
MONITORS = Kind(
    name="cost anomaly monitors", look=_monitors, reads=(_MONITORS, _ANOMALY_TAGS), deletes=(_DELETE_MONITOR,)
)
