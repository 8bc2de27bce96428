#!/usr/bin/env bash
# pytest with -n reports success where pytest alone reports a leak, though warnings are errors in both.
#
# Versions: pytest 9.2.0, pytest-xdist 3.8.0, execnet 2.1.2 (first seen 2026-11-29).
#
# Expected: the same tests have the same outcome with -n 2 as without. A test leaves a socket open in a cycle of
#   references, and `-W error` makes a failure of Python's ResourceWarning.
# Seen: pytest collects garbage once more when its session has ended, finds the socket, and exits with 1. A worker of
#   pytest-xdist finds it as well, but has already reported that it is done, and the main process does not look at what
#   comes after that: it exits with 0 and prints nothing about the socket. Only leaks of a worker's last tests are
#   affected: an earlier one surfaces when garbage is collected during a later test. A fixture of the session that
#   collects garbage at its end makes the leak an error of the last test, with -n and without.
# Why it matters here: our tests treat warnings as errors, so that no connection, process or task is left behind, and
#   they run in parallel. Without such a fixture a leak would go unnoticed, or be noticed by chance.
#
# Exits with 0 while the behaviour is as described, with 1 when it has changed.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
timeout 400 "$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    pytest==9.2.0 pytest-xdist==3.8.0 execnet==2.1.2

mkdir "$folder/tests"
cat > "$folder/tests/test_leak.py" <<'PYTHON'
import socket


class Connection:
    def __init__(self):
        self.socket = socket.socket()
        self.myself = self


def test_leak():
    Connection()
PYTHON
fixture='
import gc

import pytest


@pytest.fixture(scope="session", autouse=True)
def collect_garbage():
    yield
    gc.collect()
'

# Prints the exit code of pytest, and how many lines of its output mention the socket.
run_pytest() {
    local code=0
    timeout 60 "$folder/venv/bin/pytest" -W error "$@" "$folder/tests" > "$folder/output" 2>&1 || code=$?
    echo "exit code $code, lines about the socket: $(grep --count 'ResourceWarning: unclosed <socket' "$folder/output")"
}

"$folder/venv/bin/pip" list --disable-pip-version-check | awk '/^(pytest|execnet)/ {print $1, $2}'
alone=$(run_pytest)
parallel=$(run_pytest -n 2)
echo "$fixture" > "$folder/tests/conftest.py"
parallel_with_fixture=$(run_pytest -n 2)

echo "expected: exit code 1 from all of them"
echo "seen without -n: $alone"
echo "seen with -n 2: $parallel"
echo "seen with -n 2 and the fixture: $parallel_with_fixture"
if [[ $alone != "exit code 1,"* || $alone == *": 0" ]] ||
    [[ $parallel != "exit code 0, lines about the socket: 0" || $parallel_with_fixture != "exit code 1,"* ]]; then
    echo "The behaviour has changed." >&2
    exit 1
fi
echo "The behaviour is still as described."
