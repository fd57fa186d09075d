#!/usr/bin/env bash
# Installs pinned packages and the project itself (editable) into .venv: tools/install.sh requirements/dev.txt
#
# With uv where it is on PATH, else with python3 -m venv and pip. Only wheels whose hash is in the file are taken:
# nothing is built from source, so no build tool is fetched that no hash vouches for.
set -euo pipefail
cd "$(dirname "$0")/.."

requirements=$1
venv=.venv

say() { printf '%s\n' "$*" >&2; }
new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; }

find_python() {
    local name
    for name in "${PYTHON:-python3}" python3.14 python3.13 python3.12 python3.11; do
        if new_enough "$name"; then echo "$name"; return; fi
    done
    say "Signalbox needs Python 3.11 or newer; ${PYTHON:-python3} is $("${PYTHON:-python3}" --version 2>&1 || echo missing)," \
        "and no python3.11 to python3.14 is on PATH. Install one, or name it: make install PYTHON=/path/to/python3"
    return 1
}

make_venv() {
    local python
    python=$(find_python)
    if command -v uv >/dev/null; then
        uv venv --quiet --python "$(command -v "$python")" "$venv"
    elif ! "$python" -m venv "$venv" 2>/dev/null; then # Debian ships Python without what venv needs
        rm -rf "$venv"
        say "$python cannot make a virtual environment: its venv module is missing or incomplete." \
            "On Debian and Ubuntu: apt-get install python3-venv. Or install uv."
        return 1
    fi
}

install() {
    local python=$venv/bin/python
    if command -v uv >/dev/null; then
        uv pip install --quiet --python "$python" --require-hashes --only-binary :all: -r "$requirements"
        uv pip install --quiet --python "$python" --no-deps --no-build-isolation -e .
    else
        "$python" -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: -r "$requirements"
        "$python" -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
    fi
}

# An environment made by an older Python, or by uv when uv has gone (it has no pip then), is made anew.
usable() { new_enough "$venv/bin/python" && { command -v uv || "$venv/bin/python" -m pip --version; } >/dev/null 2>&1; }

say "Installing $requirements into $venv ..."
usable || { rm -rf "$venv"; make_venv; }
install
