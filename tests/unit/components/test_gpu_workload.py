"""GpuWorkload: what goes together, and what is refused."""

from dataclasses import replace
from typing import Any

import pytest

from components.gpu.autoscaling import Autoscaling
from components.gpu.gpu_workload import CronSchedule, WorkloadContainer
from tests.unit.components.gpu_workloads import KEEPING, MAIN, SIDECAR, workload


@pytest.mark.parametrize(("containers", "count"), [([SIDECAR], 0), ([MAIN, MAIN], 2)])
def test_exactly_one_container_uses_the_gpu(containers: list[WorkloadContainer], count: int) -> None:
    with pytest.raises(ValueError, match=f"transcribe: exactly one container must use the GPU, not {count}"):
        workload(containers=containers)


@pytest.mark.parametrize(("kind", "schedule"), [("CronJob", None), ("Job", CronSchedule(schedule="@daily"))])
def test_cron_jobs_and_nothing_else_have_schedules(kind: Any, schedule: CronSchedule | None) -> None:
    with pytest.raises(ValueError, match="a CronJob, and nothing else, has a schedule"):
        workload(kind=kind, schedule=schedule)


def test_what_ends_is_not_scaled_and_a_range_is_one() -> None:
    scaling = Autoscaling(min_replicas=1, max_replicas=2, metric="in_flight", average_value=8)
    with pytest.raises(ValueError, match="transcribe: only a Deployment has autoscaling"):
        workload(kind="Job", autoscaling=scaling)
    with pytest.raises(ValueError, match="5 to 4 replicas are no range"):
        replace(scaling, min_replicas=5, max_replicas=4)


def test_what_never_ends_keeps_no_checkpoints() -> None:
    with pytest.raises(ValueError, match="only a Job or CronJob keeps checkpoints"):
        workload(kind="Deployment", checkpoint=KEEPING)
