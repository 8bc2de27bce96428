#!/usr/bin/env bash
# litellm cannot be imported where no folder for temporary files can be written to, although it writes none.
#
# Versions: litellm 1.106.2 (first seen 2026-11-30).
#
# Expected: the import of a library that calls language models writes nothing, so it works on a read-only disk.
# Seen: litellm asks for the folder of temporary files at its import. It would keep there what Anthropic exchanges for
#   the identity of a workload, for all its processes, and creates that folder when it is first used. Where no such
#   folder can be written to, the import fails with FileNotFoundError. With LITELLM_TOKEN_EXCHANGE_CACHE_DIR set, also
#   to the empty string, which keeps tokens in each process, the import works.
# Why it matters here: containers are often run with a read-only root, and a server in one did not start. It sets the
#   variable where there is no folder for temporary files.
#
# Exits with 0 while the behaviour is as described, with 1 when it has changed.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
timeout 400 "$folder/venv/bin/pip" install --quiet --disable-pip-version-check litellm==1.106.2

# A hook refuses what would write to a disk, as the system does for a process with a read-only root.
cat > "$folder/read_only.py" <<'PYTHON'
import errno
import os
import sys
from importlib.metadata import version

WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT
refused = []


def refuse(event, arguments):
    """Refuses to open a file for writing, and to create a folder."""
    writes = event == "open" and isinstance(arguments[0], (str, bytes)) and arguments[2] & WRITES
    if (writes and not os.fsdecode(arguments[0]).startswith("/dev/")) or event == "os.mkdir":
        refused.append(arguments[0])
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))


sys.addaudithook(refuse)
sys.dont_write_bytecode = True
try:
    import litellm
except FileNotFoundError as exc:
    outcome = f"fails: {exc}"
else:
    outcome = "works"
print(f"litellm {version('litellm')}: the import {outcome}; files that it could not write: {len(refused)}")
sys.exit(0 if outcome.partition(":")[0] == sys.argv[1] else "The behaviour has changed.")
PYTHON

export LITELLM_LOCAL_MODEL_COST_MAP=True LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS=True
cd "$folder"
timeout 200 venv/bin/python read_only.py fails
LITELLM_TOKEN_EXCHANGE_CACHE_DIR="" timeout 200 venv/bin/python read_only.py works
echo "The behaviour is still as described."
