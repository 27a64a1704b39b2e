"""EBS' gp3 volumes: what one has at no extra charge, and what bounds more.

From the EBS user guide, "General Purpose SSD volumes". Sizes in GiB, throughput in MiB/s.
"""

from __future__ import annotations

from typing import Final

#: Of every volume; what is above is paid for.
BASE_IOPS: Final = 3000
BASE_MIBPS: Final = 125
#: Most of a volume.
MAX_IOPS: Final = 16_000
MAX_MIBPS: Final = 1000
#: Most IOPS for each GiB, and the IOPS that each MiB/s needs.
IOPS_PER_GIB: Final = 500
IOPS_PER_MIBPS: Final = 4
