"""Plays cloud-init's last stage: runs the shell scripts of a MIME document, each once in the life of an instance.

Argument: a folder with `user-data`, where it keeps what it has run (cloud-init: /var/lib/cloud/instance/sem).
"""

from __future__ import annotations

import subprocess
import sys
from email import message_from_bytes
from pathlib import Path


def main(folder: Path) -> int:
    """The `scripts-user` module; its failure is cloud-final's."""
    done = folder / "config_scripts_user.once"
    if done.exists():
        return 0
    done.touch()
    code = 0
    for number, part in enumerate(message_from_bytes((folder / "user-data").read_bytes()).walk()):
        if part.get_content_type() == "text/x-shellscript":
            script = folder / f"part-{number:03d}"
            payload = part.get_payload(decode=True)
            assert isinstance(payload, bytes)
            script.write_bytes(payload)
            script.chmod(0o700)
            code |= subprocess.run([str(script)], check=False).returncode
    return code


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
