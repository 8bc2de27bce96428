#!/bin/sh
# Copies the protos to FOLDER as Java needs them: stage-protos.sh PROTOS FOLDER
#
# Two things do not go in Java as the protos stand. The class of a file would have the name of a message
# (classification.proto, Classification), so each file gets `java_outer_classname`, unless it has one. And `token_bytes`
# beside the string `token` gives `getTokenBytes` twice, so it is `raw_bytes` here; number and JSON name stay.
set -e
rm -rf "$2"
mkdir -p "$2"
cp -R "$1/." "$2"
find "$2" -name '*.proto' | while read -r file; do
  class=$(basename "$file" .proto | awk -F_ '{ for (i = 1; i <= NF; i++) printf "%s", toupper(substr($i, 1, 1)) substr($i, 2) }')
  grep -q '^option java_outer_classname' "$file" && option='' || option="option java_outer_classname = \"${class}Proto\";"
  awk -v option="$option" '
    /^option java_package/ && option != "" { print option }
    { sub(/bytes token_bytes = 3;/, "bytes raw_bytes = 3 [json_name = \"tokenBytes\"];"); print }
  ' "$file" > "$file.new"
  mv "$file.new" "$file"
done
