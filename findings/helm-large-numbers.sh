#!/usr/bin/env bash
# Helm writes a whole number of the values with an exponent from a million on, though the schema says that it is whole.
#
# Versions: helm-python-sdk 0.2.2, which is Helm 4.2.3 as a library, Python 3.11 (first seen 2026-11-30).
#
# Expected: the value `bytes: 16777216`, which its schema calls an integer, is written as 16777216 by `{{ .Values.bytes }}`.
# Seen: it is written as 1.6777216e+07, and `quote` makes a text of that. Helm reads all numbers of values as 64-bit
#   floats, and checks the schema with them: 16777216.0 is an integer to it. 999999 is written as it is, 1000000 is not.
#   `toYaml` and `int64` write whole numbers. From 2**53 on the last digits are lost, whatever writes them.
# Why it matters here: our server refuses such a text in a variable for a whole number, and Kubernetes refuses it in most
#   fields. Every number of our chart goes through `int`, `int64` or `toYaml`.
#
# Exits with 0 while the behaviour is as described, with 1 when it has changed.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
timeout 400 "$folder/venv/bin/pip" install --quiet --disable-pip-version-check helm-python-sdk==0.2.2

chart="$folder/chart"
mkdir -p "$chart/templates"
printf 'apiVersion: v2\nname: numbers\nversion: 0.1.0\n' > "$chart/Chart.yaml"
printf 'bytes: 16777216\n' > "$chart/values.yaml"
printf '{"type": "object", "properties": {"bytes": {"type": "integer"}}}\n' > "$chart/values.schema.json"
cat > "$chart/templates/numbers.yaml" <<'TEMPLATE'
plain: {{ .Values.bytes }}
quote: {{ .Values.bytes | quote }}
toYaml: {{ toYaml .Values.bytes }}
int64: {{ int64 .Values.bytes }}
TEMPLATE

"$folder/venv/bin/python" - "$chart" <<'PYTHON'
import sys

import helm_python as helm

with helm.Chart.load(sys.argv[1]) as chart:
    def write(number):
        chart.validate_schema({"bytes": number})
        lines = chart.render({"bytes": number})["numbers/templates/numbers.yaml"].split("\n")
        return dict(line.split(": ") for line in lines if line)

    written = {number: write(number) for number in (999999, 1000000, 16777216, 2**53 + 1)}
    default = chart.render()["numbers/templates/numbers.yaml"].split("\n")[0]

print(f"Helm {helm.helm_sdk_version()}")
print("expected: each number is written with its digits")
for number, by in written.items():
    print(f"seen: {number} is written as {by}")
print(f"seen: the default of values.yaml, 16777216, is written as {default}")
as_described = (
    written[999999]["plain"] == "999999"
    and written[1000000]["plain"] == "1e+06"
    and default == "plain: 1.6777216e+07"
    and written[16777216]["quote"] == '"1.6777216e+07"'
    and written[16777216]["toYaml"] == written[16777216]["int64"] == "16777216"
    and written[2**53 + 1]["int64"] == str(2**53)
)
sys.exit(0 if as_described else 1)
PYTHON
