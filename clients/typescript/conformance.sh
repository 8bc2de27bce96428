#!/bin/sh
# Runs the conformance runner: conformance.sh PLAN RESULTS. Build the runner first with `make runner`.
set -e
exec node "$(dirname "$0")/build/conformance/runner.js" "$1" "$2"
