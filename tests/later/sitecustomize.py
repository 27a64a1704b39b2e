"""Starts Python on another day, with what it starts in turn. On PYTHONPATH only in `make test-later`.

TEST_DAYS_ON: how many days from today.
"""

import os
from datetime import UTC, datetime, timedelta

import time_machine

time_machine.travel(datetime.now(UTC) + timedelta(days=int(os.environ["TEST_DAYS_ON"]))).start()
