"""The bucket of the stack's checkpoints. S3 deletes none that holds anything."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from account.teardown.kinds import Call, Eyes, Kind, Leftover, Step
from account.teardown.marks import tags_of
from gpu.checkpoints import bucket_stem

_TAGS = Call("s3", "get_bucket_tagging")
_OBJECTS = Call("s3", "list_objects_v2")
_DELETE_OBJECTS = Call("s3", "delete_objects")
_DELETE_BUCKET = Call("s3", "delete_bucket")

#: Keys in one call (S3 API reference, DeleteObjects).
_AT_ONCE: Final = 1000
#: A cluster that is there may have a name that no bucket has.
_GONE = ["NoSuchBucket", "NoSuchTagSet", "InvalidBucketName"]


def _buckets(eyes: Eyes) -> Iterator[Leftover]:
    name = f"{bucket_stem(eyes.cluster, eyes.marks.region)}{eyes.caller.account}"
    tags = tags_of(eyes.collect(_TAGS, "TagSet[]", absent=_GONE, Bucket=name))
    if eyes.marks.mark(tags) is None:
        return
    objects = eyes.collect(_OBJECTS, "Contents[]", absent=_GONE, Bucket=name)
    keys = [{"Key": each["Key"]} for each in objects]
    empty = [
        Step(_DELETE_OBJECTS, {"Bucket": name, "Delete": {"Objects": keys[first : first + _AT_ONCE], "Quiet": True}})
        for first in range(0, len(keys), _AT_ONCE)
    ]
    found = eyes.left(
        name,
        tags,
        name="",
        state=f"holds {len(keys)} objects" if keys else "empty",
        usd_per_month=eyes.costs.objects(sum(each["Size"] for each in objects)),
        arn=f"arn:{eyes.caller.partition}:s3:::{name}",
        steps=(*empty, Step(_DELETE_BUCKET, {"Bucket": name})),
        by_hand=("aws", "s3", "rb", f"s3://{name}", "--force") if keys else (),
    )
    if found:
        yield found


BUCKETS = Kind(
    name="S3 buckets",
    look=_buckets,
    reads=(_TAGS, _OBJECTS),
    deletes=(_DELETE_OBJECTS, _DELETE_BUCKET),
    data=True,
)
