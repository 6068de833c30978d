#!/bin/sh
# Makes the environment in $VENV from the hashed lock. Uses uv where it can be had, plain pip otherwise.
# The Python is $PYTHON, else the first of 3.13 to 3.11 (embedded Redis has no build for later ones yet), else python3.
set -eu

usable() {
    "$1" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
}

find_python() {
    for candidate in ${PYTHON:-python3.12 python3.11 python3 python3.13 python3.14}; do
        if usable "$candidate"; then
            echo "$candidate"
            return
        fi
    done
    echo "Python 3.11 or later with venv is needed; name one: make setup PYTHON=/path/to/python3" >&2
    exit 1
}

# An environment that was made elsewhere, or by a Python that is gone, is made anew.
if ! "$VENV/bin/python" -c '' 2>/dev/null; then
    python=$(find_python)
    echo "Making $VENV with $("$python" --version)"
    "$python" -m venv --clear "$VENV"
fi
echo "Installing what $LOCK locks; the first time this takes a minute or two"

# uv installs ten times as fast as pip; its own version and hashes come from the lock too.
install_uv() {
    sed -n '/^uv==/,/[^\\]$/p' "$LOCK" > "$VENV/uv.txt"
    "$VENV/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r "$VENV/uv.txt"
}

# It knows nothing of pip's configuration (mirrors, own certificates): then pip does the work.
install_with_uv() {
    "$VENV/bin/uv" pip install --quiet --system-certs --python "$VENV/bin/python" --require-hashes -r "$LOCK"
}

# Nothing is built: every requirement has a wheel, and the build tools of this package are in the lock.
if ! { install_uv && install_with_uv; } 2>"$VENV/uv.log"; then
    echo "uv cannot install here ($VENV/uv.log); pip can, more slowly"
    "$VENV/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes -r "$LOCK"
fi
"$VENV/bin/python" -m pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps --editable .
