#!/bin/sh
# Runs the plan of the conformance suite: conformance.sh PLAN RESULTS. `make runner` builds what it needs.
set -e
exec node "$(dirname "$0")/build/conformance/runner.js" "$1" "$2"
