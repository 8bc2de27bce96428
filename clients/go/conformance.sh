#!/bin/sh
# Runs the conformance runner: conformance.sh PLAN RESULTS. `make runner` builds it.
set -eu
exec "$(dirname "$0")/.bin/conformance" "$@"
