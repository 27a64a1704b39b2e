"""Entry point for the Pulumi CLI: `pulumi preview --policy-pack policy`, or the folder of `make policy-pack`."""

import sys
from pathlib import Path

# The CLI runs this folder, wherever it is called: what stands beside `versions.py` must be put on the path first.
sys.path.insert(0, str(next(above for above in Path(__file__).resolve().parents if (above / "versions.py").is_file())))

from pulumi_policy import PolicyPack

from policy.pack import PACK_NAME, policies

if __name__ == "__main__":
    PolicyPack(name=PACK_NAME, policies=policies())
