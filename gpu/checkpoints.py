"""What is said of checkpoints in more than one place: where they are kept, what bounds them, what they ask of S3."""

from __future__ import annotations

import hashlib
import re
from typing import Final

#: Most seconds from SIGTERM to the end of a pod: EC2 gives two minutes' notice, of which Karpenter needs some to hear
#: of it through its queue and to evict the pods.
MAX_GRACE_SECONDS: Final = 100
#: Seconds of pods that say nothing (Kubernetes API, PodSpec.terminationGracePeriodSeconds).
POD_GRACE_SECONDS: Final = 30
#: Seconds that Karpenter has from the end of a node's claim, with which the node's time begins, to the eviction of its
#: pods: it marks the node first, and tries again while the API server is busy. Ours.
_TO_EVICT: Final = 60
#: Whole checkpoints that a run keeps, and the one that is being written (`apps/checkpoint`, `Checkpoints.keep`).
KEPT: Final = 3
#: MB of a file that are one request (`apps/checkpoint/s3.py`); and requests of a checkpoint beside those of its data:
#: its list, two listings for others and for what is old, and a second file.
PART_MB: Final = 64 * 2**20 / 1e6
REQUESTS_BESIDE: Final = 4

#: Variables of the environment from which a job knows (`apps/checkpoint/keeper.py`).
URL_VARIABLE: Final = "CHECKPOINT_URL"
INTERVAL_VARIABLE: Final = "CHECKPOINT_INTERVAL_SECONDS"
GRACE_VARIABLE: Final = "CHECKPOINT_GRACE_SECONDS"
#: Variables that hold a run's name, which is its Job's, and the Job's uid: a Job of the same name that is made anew is
#: another run. And the number of a pod among those of its Job.
RUN_VARIABLES: Final = {
    "CHECKPOINT_JOB": "batch.kubernetes.io/job-name",
    "CHECKPOINT_JOB_UID": "batch.kubernetes.io/controller-uid",
    "CHECKPOINT_INDEX": "batch.kubernetes.io/job-completion-index",
}

#: Of keys: what needs no care in any tool (S3 user guide, "Safe characters"), and no sign of patterns in policies.
PREFIX: Final = r"^[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)*$"
MAX_PREFIX: Final = 200

#: Of 63 characters, the longest name of a bucket, what the rest leaves for the cluster's.
_CLUSTER_CHARS: Final = 29


def node_seconds(grace: int) -> int:
    """Least `terminationGracePeriod` of nodes, in seconds, from which pods with so many seconds of grace are evicted.

    A pod whose grace is longer than what its node has left is deleted at once, with what is left as its grace
    (Karpenter 1.15, pkg/controllers/node/termination/terminator/eviction.go, `needsForceDelete`). Such a pod has no
    condition `DisruptionTarget`: its Job counts a failure.
    """
    return grace + _TO_EVICT


def bucket_stem(cluster_name: str, region: str) -> str:
    """The name of a stack's bucket without the account's number behind it. Buckets of all regions share one name space.

    A long name of a cluster is cut; the digest keeps two of them apart, and two regions.
    """
    digest = hashlib.sha256(f"{cluster_name}/{region}".encode()).hexdigest()[:8]
    return f"{cluster_name[:_CLUSTER_CHARS].rstrip('-')}-{digest}-checkpoints-"


def check_prefix(what: str, prefix: str) -> None:
    """Raise ValueError for a prefix that could mean more of a bucket than a Job's own place. what: whose it is."""
    if len(prefix) > MAX_PREFIX or not re.fullmatch(PREFIX, prefix):
        raise ValueError(
            f"{what} is {prefix!r}: write letters, digits, dots, dashes and underscores, with slashes between, at most "
            f"{MAX_PREFIX} characters"
        )


def run_url(bucket: str, prefix: str) -> str:
    """Where a pod keeps its checkpoints, with the variables that Kubernetes fills in."""
    job, uid, index = (f"$({name})" for name in RUN_VARIABLES)
    return f"s3://{bucket}/{prefix}/{job}-{uid}/{index}"
