"""Terraform where a machine has it: this project does not install it, and asks nobody for a provider that lies here."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

#: Where a machine keeps providers for Terraform: its own folders (`terraform init`, implied local mirrors), or /opt.
MIRRORS: Final = (
    "~/.terraform.d/plugins",
    "~/.local/share/terraform/plugins",
    "/usr/local/share/terraform/plugins",
    "/usr/share/terraform/plugins",
    "/opt",
)
AWS: Final = "registry.terraform.io/hashicorp/aws"


@dataclass(frozen=True)
class Terraform:
    """The program, and the environment in which it takes the AWS provider from this machine."""

    program: str
    environment: Mapping[str, str]


def find_terraform(folder: Path) -> Terraform | None:
    """Terraform with the AWS provider, or None where one of them is missing. Its settings are written to `folder`."""
    program, providers = shutil.which("terraform"), _mirror()
    if program is None or providers is None:
        return None
    settings = folder / "terraform.rc"
    settings.write_text(f'provider_installation {{\n  filesystem_mirror {{ path = "{providers}" }}\n}}\n')
    own = {"TF_CLI_CONFIG_FILE": str(settings), "CHECKPOINT_DISABLE": "1", "TF_IN_AUTOMATION": "1"}
    return Terraform(program, {**os.environ, **own})


def _mirror() -> Path | None:
    roots = [Path(place).expanduser() for place in MIRRORS]
    folders = [folder for root in roots if root.is_dir() for folder in (root, *sorted(root.iterdir()))]
    return next((folder for folder in folders if (folder / AWS).is_dir()), None)
