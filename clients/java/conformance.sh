#!/bin/sh
# Runs the conformance runner, which `make runner` builds: conformance.sh PLAN RESULTS
here=$(dirname "$0")
[ -f "$here/target/runner.classpath" ] || { echo "run 'make runner' in $here first" >&2; exit 1; }
exec java -cp "$here/target/test-classes:$here/target/classes:$(cat "$here/target/runner.classpath")" \
  io.github.reasoninggrpc.conformance.Runner "$@"
