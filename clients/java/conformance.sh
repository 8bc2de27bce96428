#!/bin/sh
# Runs the conformance runner, which `make runner` builds: conformance.sh PLAN RESULTS
here=$(dirname "$0")
exec java -cp "$here/target/test-classes:$here/target/classes:$(cat "$here/target/runner.classpath")" \
  io.github.reasoninggrpc.conformance.Runner "$@"
