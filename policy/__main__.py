"""Entry point for the Pulumi CLI: `pulumi preview --policy-pack policy`."""

import sys
from pathlib import Path

# The CLI runs this folder, not the repository, so the root with `gpu` and `policy` must be put on the path first.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from pulumi_policy import PolicyPack

from policy.pack import PACK_NAME, policies

if __name__ == "__main__":
    PolicyPack(name=PACK_NAME, policies=policies())
