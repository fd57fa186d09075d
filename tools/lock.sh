#!/usr/bin/env bash
# Writes requirements/*.txt from pyproject.toml: exact versions and hashes for every platform and Python >= 3.11.
# Pins stay as they are where the ranges still allow them; `make lock UPGRADE=1` takes the newest.
#
# Addresses stay out of the files: which index to ask is a matter of the machine that installs.
set -euo pipefail
cd "$(dirname "$0")/.."

command -v uv >/dev/null || { echo "make lock needs uv on PATH: only it resolves for all platforms at once" >&2; exit 1; }

pin() { # pin FILE ARGUMENT...
    local file=requirements/$1
    shift
    uv pip compile pyproject.toml --quiet --universal --generate-hashes --only-binary :all: \
        --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" \
        ${UPGRADE:+--upgrade} --output-file "$file" "$@"
    echo "$file: $(grep -c '^[a-z].*==' "$file") packages"
}

# dev.txt is resolved first; the others are parts of it, held to the same versions.
same=(--constraints requirements/dev.txt)
pin dev.txt --extra postgresql --extra redis --extra rabbitmq --extra apprise --extra data --extra dev --group build # tests, checks, demo
UPGRADE=
pin runtime.txt --extra postgresql --extra redis --extra rabbitmq --extra data "${same[@]}" # the container image
pin bench.txt --extra bench "${same[@]}"                 # what the peers in bench/ need, on top of dev.txt
uv pip compile --quiet --universal --generate-hashes --only-binary :all: --group build --python-version 3.11 \
    --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" "${same[@]}" \
    --output-file requirements/build.txt                 # building the wheel
echo "requirements/build.txt: $(grep -c '^[a-z].*==' requirements/build.txt) packages"
