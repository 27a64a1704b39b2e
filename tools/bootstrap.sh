#!/usr/bin/env bash
# Fills .venv from the lock: `tools/bootstrap.sh` (make runs it when the lock changes). Needs only Python 3.11 or newer.
# PYTHON=... chooses the interpreter of a new .venv.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

enough='import sys; sys.exit(sys.version_info < (3, 11))'

find_python() {
  local candidate
  for candidate in ${PYTHON:-python3 python3.13 python3.12 python3.11 python3.14 python}; do
    if command -v "$candidate" >/dev/null 2>&1 && "$candidate" -c "$enough" >/dev/null 2>&1; then
      echo "$candidate"
      return
    fi
  done
  echo "error: Python 3.11 or newer is needed and none was found (looked for: ${PYTHON:-python3, python3.11 to 3.14})." >&2
  echo "       Install one from your system or https://www.python.org/downloads/, or name it: make PYTHON=/path/to/python3" >&2
  return 1
}

# One at a time: two `make` at once would write into the same .venv. Python takes the lock and runs this script again,
# which holds it until it ends, however it ends.
if [[ -z ${SETUP_LOCKED:-} ]]; then
  python=$(find_python)
  exec "$python" -c '
import fcntl, os, sys

lock = os.open(".venv.lock", os.O_RDWR | os.O_CREAT, 0o644)
os.set_inheritable(lock, True)
os.environ["SETUP_LOCKED"] = "first"
try:
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
except OSError:
    print("Another `make` sets .venv up, which takes half a minute; this one waits for it.", flush=True)
    os.environ["SETUP_LOCKED"] = "later"
    fcntl.flock(lock, fcntl.LOCK_EX)
os.execv(sys.argv[1], sys.argv[1:])
' "$BASH" tools/bootstrap.sh
fi
if [[ $SETUP_LOCKED == later && $(cat .venv/.stamp 2>/dev/null) == "$PWD" && .venv/.stamp -nt requirements.txt &&
  .venv/.stamp -nt requirements/uv.txt && .venv/.stamp -nt pyproject.toml && .venv/.stamp -nt tools/bootstrap.sh ]]; then
  exit 0 # whoever was first has done it
fi

# An environment holds the path it was made for: in a moved or copied checkout it is made again.
made_for=$(cat .venv/.stamp 2>/dev/null || true)
if [[ -n $made_for && $made_for != "$PWD" ]] ||
  ! .venv/bin/python -c "$enough" >/dev/null 2>&1 || ! .venv/bin/python -m pip --version >/dev/null 2>&1; then
  python=$(find_python)
  if ! "$python" -c 'import ensurepip, venv' >/dev/null 2>&1; then
    echo "error: $python cannot make virtual environments; on Debian and Ubuntu: apt install python3-venv" >&2
    exit 1
  fi
  echo "Creating .venv with $("$python" --version)"
  "$python" -m venv --clear .venv
fi

# uv does not read pip's settings: hand it the index and the certificates that pip uses here.
pip=(.venv/bin/python -m pip --disable-pip-version-check)
index=${PIP_INDEX_URL:-$("${pip[@]}" config get global.index-url 2>/dev/null || true)}
if [[ -n $index && -z ${UV_DEFAULT_INDEX:-}${UV_INDEX_URL:-} ]]; then export UV_DEFAULT_INDEX=$index; fi
if [[ -n ${PIP_CERT:-} && -z ${SSL_CERT_FILE:-} ]]; then export SSL_CERT_FILE=$PIP_CERT; fi

echo "Installing the locked dependencies into .venv"
uv=(.venv/bin/python -m uv pip)
if "${pip[@]}" install --quiet --require-hashes -r requirements/uv.txt &&
  "${uv[@]}" sync --quiet --python .venv/bin/python --require-hashes --compile-bytecode requirements.txt; then
  "${uv[@]}" install --quiet --python .venv/bin/python --no-deps --no-build-isolation --editable .
else
  echo "uv could not do it here; trying pip, which takes longer" >&2
  "${pip[@]}" install --quiet --require-hashes --no-deps -r requirements.txt
  "${pip[@]}" install --quiet --no-deps --no-build-isolation --no-index --editable .
fi
# Paths of the checkout as seen from the file that has them: Python 3.11 reads it in the locale's encoding, and would not
# start with LC_ALL=C in a folder whose name is not ASCII.
for paths in .venv/lib/python3*/site-packages/_gpu_slices.pth; do
  written=$(<"$paths")
  echo "${written//"$(pwd -P)"/../../../..}" >"$paths"
done
echo "$PWD" >.venv/.stamp
