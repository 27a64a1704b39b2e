"""Checkpoints of a job that may be ended at any moment and then goes on, with the result of a run that never was.

    with Checkpoints.from_environment() as checkpoints:
        found = checkpoints.resume(read)          # read(folder) -> state
        step, state = found or (0, begin())
        while step < steps:
            state, step = work(state), step + 1
            checkpoints.reached(step, partial(write, state))   # write(state, folder)

What a checkpoint holds is up to the job: whatever `write` puts into the folder, by torch.save, json.dump or another.
Nothing but the standard library is needed for folders, and boto3 for S3.
"""

from checkpoint.keeper import Checkpoints
from checkpoint.store import StoreError

__all__ = ["Checkpoints", "StoreError"]
