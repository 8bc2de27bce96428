#!/bin/sh
# Runs the conformance runner: conformance.sh PLAN RESULTS. Build the runner first with `make runner`.
set -eu
exec "$(dirname "$0")/.bin/conformance" "$@"
