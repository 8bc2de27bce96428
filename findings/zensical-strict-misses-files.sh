#!/usr/bin/env bash
# zensical's strict build succeeds with pictures and downloads that do not exist.
#
# Versions: zensical 0.0.73, mkdocs 1.6.1 (first seen 2026-11-29).
#
# Expected: zensical's documentation says that it validates all internal links at build time, and that strict mode
#   aborts the build when it finds issues. mkdocs, whose sites it can build, fails under --strict for a missing page, a
#   missing picture and a missing download.
# Seen: zensical checks links to pages and, unlike mkdocs by default, to anchors, but no link to any other file. A page
#   with a picture or a download that does not exist is built without a warning.
# Why it matters here: zensical builds our documentation, and its pictures are made by scripts of this repository. A
#   script of ours checks the files of the built site, so that a picture cannot go missing unnoticed.
#
# Exits with 0 while the behaviour is as described, with 1 when it has changed.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
timeout 400 "$folder/venv/bin/pip" install --quiet --disable-pip-version-check zensical==0.0.73 mkdocs==1.6.1

# Builds a site of one page with this text by each generator, and says how the two builds ended.
build() {
    local site code generator outcome=()
    site=$(mktemp -d -p "$folder")
    mkdir "$site/docs"
    echo "site_name: Test" > "$site/mkdocs.yml"
    printf '%s\n' "# Test" "" "$1" > "$site/docs/index.md"
    for generator in zensical mkdocs; do
        code=0
        (cd "$site" && timeout 60 "$folder/venv/bin/$generator" build --clean --strict > /dev/null 2>&1) || code=$?
        outcome+=("$generator: $code")
    done
    echo "${outcome[*]}"
}

page=$(build "[page](gone.md)")
anchor=$(build "[anchor](#gone)")
picture=$(build "![picture](gone.svg)")
download=$(build "[download](gone.pdf)")
nothing=$(build "Nothing is linked.")

"$folder/venv/bin/pip" list --disable-pip-version-check | awk '/^(zensical|mkdocs) / {print $1, $2}'
echo "expected: exit code 1 from zensical for each kind of link that leads nowhere"
echo "seen, exit codes for a missing page: $page"
echo "seen, exit codes for a missing anchor: $anchor"
echo "seen, exit codes for a missing picture: $picture"
echo "seen, exit codes for a missing download: $download"
echo "seen, exit codes for a page without links: $nothing"
if [[ "$page, $anchor, $picture, $download, $nothing" != "zensical: 1 mkdocs: 1, zensical: 1 mkdocs: 0, \
zensical: 0 mkdocs: 1, zensical: 0 mkdocs: 1, zensical: 0 mkdocs: 0" ]]; then
    echo "The behaviour has changed." >&2
    exit 1
fi
echo "The behaviour is still as described."
