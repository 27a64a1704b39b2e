"""What a Job knows of its checkpoints, and that its program reads the same names."""

from typing import Any

import pytest

from checkpoint import keeper
from gpu import checkpoints
from tests.unit.components.gpu_workloads import KEEPING, recorded, workload


def pod(each: Any) -> dict[str, Any]:
    spec: dict[str, Any] = each["spec"]["template"]["spec"]
    return spec


def test_a_job_has_the_variables_that_the_helper_reads() -> None:
    made = recorded(workload(kind="Job", checkpoint=KEEPING))
    job = made.one("kubernetes:batch/v1:Job").inputs
    main, sidecar = pod(job)["containers"]
    told = {variable["name"]: variable for variable in main["env"]}
    assert told[keeper.URL_VARIABLE]["value"] == (
        "s3://acme/team/train/$(CHECKPOINT_JOB)-$(CHECKPOINT_JOB_UID)/$(CHECKPOINT_INDEX)"
    )
    assert told[keeper.INTERVAL_VARIABLE]["value"] == "300"
    assert told[keeper.GRACE_VARIABLE]["value"] == "90"
    # Kubernetes fills in what stands before, and leaves what stands behind as it is.
    names = list(told)
    assert max(map(names.index, checkpoints.RUN_VARIABLES)) < names.index(keeper.URL_VARIABLE)
    assert not any(variable["name"].startswith("CHECKPOINT") for variable in sidecar["env"])


def test_the_component_and_the_helper_have_the_same_names_and_figures() -> None:
    ours = (checkpoints.URL_VARIABLE, checkpoints.INTERVAL_VARIABLE, checkpoints.GRACE_VARIABLE)
    assert ours == (keeper.URL_VARIABLE, keeper.INTERVAL_VARIABLE, keeper.GRACE_VARIABLE)
    assert keeper.Checkpoints("x")._keep == checkpoints.KEPT
    s3 = pytest.importorskip("checkpoint.s3")
    assert s3._PARTS.multipart_chunksize / 1e6 == checkpoints.PART_MB


def test_a_region_of_ones_own_stays() -> None:
    main = workload().containers[0]
    mine = {"name": "AWS_DEFAULT_REGION", "value": "us-west-2"}
    changed = workload(kind="Job", checkpoint=KEEPING, containers=[type(main)(**{**vars(main), "env": [mine]})])
    (container,) = pod(recorded(changed).one("kubernetes:batch/v1:Job").inputs)["containers"]
    assert [each for each in container["env"] if each["name"] == "AWS_DEFAULT_REGION"] == [mine]
