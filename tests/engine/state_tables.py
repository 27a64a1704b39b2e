"""All the states."""

from typing import Final

from tests.engine import states_aws, states_gpu, states_pods
from tests.engine.states import State

STATES: Final[tuple[State, ...]] = (*states_aws.STATES, *states_gpu.STATES, *states_pods.STATES)
