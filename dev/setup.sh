#!/bin/sh
# Makes .venv from requirements.lock with any Python >= 3.11 that it finds. Called by make; quiet unless it fails.
# PYTHON=/path/to/python chooses one.
set -eu
cd "$(dirname "$0")/.."
log=$(mktemp)
trap 'rm -f "$log"' EXIT
began=$(date +%s)

suits() { "$1" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; }

fail() {
    echo "make: $1 failed. What it said:" >&2
    grep -v '^WARNING: Location .* is ignored' "$log" >&2 || true
    exit 1
}

if ! { [ -x .venv/bin/python ] && suits .venv/bin/python && .venv/bin/python -m pip --version >/dev/null 2>&1; }; then
    python=
    for candidate in ${PYTHON:-python3.13 python3.12 python3.11 python3}; do
        if suits "$candidate"; then python=$candidate && break; fi
    done
    if [ -z "$python" ]; then
        echo "make: found no Python 3.11 or newer with its venv module. Install one (on Debian and Ubuntu: apt install" \
            "python3-venv), or say where it is: make PYTHON=/path/to/python3 …" >&2
        exit 1
    fi
    echo "Setting up .venv with $("$python" --version), once; about a minute …"
    "$python" -m venv --clear .venv >"$log" 2>&1 || fail "python -m venv"
else
    echo "Bringing .venv up to date with requirements.lock …"
fi

export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore PIP_NO_INPUT=1
.venv/bin/python -m pip install --require-hashes -r requirements.lock >"$log" 2>&1 || fail "pip install"
.venv/bin/python -m pip install --no-deps --no-build-isolation -e . >"$log" 2>&1 || fail "pip install of the project"
touch .venv/.complete
echo "… done in $(($(date +%s) - began)) s."
