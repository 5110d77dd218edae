#!/bin/sh
# Makes .venv with every pinned dependency; a second call finds its stamp and returns at once.
#
# torch is not in the lock: which build is right depends on the machine. A folder of wheels named by
# UV_FIND_LINKS or PIP_FIND_LINKS comes first; otherwise uv asks the driver and takes the CPU build
# where there is no GPU, so CUDA is never downloaded in vain.
set -eu
cd "$(dirname "$0")/.."

VENV=.venv
STAMP=$VENV/.installed

fail() {
    printf 'setup: %s\n' "$1" >&2
    exit 1
}

is_right() {
    "$1" -c 'import sys; sys.exit(not ((3, 11) <= sys.version_info[:2] < (3, 13)))' 2>/dev/null
}

if [ -n "${PYTHON:-}" ]; then
    is_right "$PYTHON" || fail "'$PYTHON' is not Python 3.11 or 3.12"
else
    for candidate in python3.11 python3 python3.12; do
        if is_right "$candidate"; then
            PYTHON=$candidate
            break
        fi
    done
    [ -n "${PYTHON:-}" ] ||
        fail "Python 3.11 or 3.12 is needed and not on the PATH; install it, or name it: make PYTHON=/path/to/python3.11"
fi

TORCH=$(sed -n 's/^ *"\(torch==[^"]*\)".*/\1/p' pyproject.toml)
WANTED=$(cat pyproject.toml requirements.lock | cksum)-$("$PYTHON" --version)
if [ -f "$STAMP" ] && [ "$(cat "$STAMP")" = "$WANTED" ]; then
    exit 0
fi

echo "setup: making $VENV (about a minute on a good connection)"
if [ ! -x "$VENV/bin/python" ]; then
    rm -rf "$VENV"
    "$PYTHON" -m venv "$VENV" 2>/dev/null || {
        rm -rf "$VENV"
        "$PYTHON" -m venv --without-pip "$VENV" ||
            fail "'$PYTHON -m venv' failed; install the venv module (Debian: apt install python3-venv)"
    }
fi
UV=$VENV/uv/bin/uv
if [ ! -x "$UV" ]; then
    if "$VENV/bin/python" -m pip --version >/dev/null 2>&1; then
        PIP="$VENV/bin/python -m pip"
    elif "$PYTHON" -m pip --version >/dev/null 2>&1; then
        PIP="$PYTHON -m pip"
    else
        fail "pip is missing; install it (Debian: apt install python3-pip python3-venv)"
    fi
    $PIP install --quiet --disable-pip-version-check --target "$VENV/uv" 'uv>=0.9' ||
        fail "could not install uv; is the package index reachable?"
fi

[ -n "${UV_FIND_LINKS:-}" ] || [ -z "${PIP_FIND_LINKS:-}" ] || export UV_FIND_LINKS="$PIP_FIND_LINKS"
if [ -n "${UV_FIND_LINKS:-}" ]; then
    BACKEND=
else
    BACKEND=--torch-backend=auto
fi
# shellcheck disable=SC2086  # an empty BACKEND must vanish
"$UV" pip install --quiet --python "$VENV/bin/python" $BACKEND -r requirements.lock "$TORCH" ||
    fail "some packages could not be installed (see above); run the same command again"
"$UV" pip install --quiet --python "$VENV/bin/python" --no-deps --no-build-isolation -e . ||
    "$UV" pip install --quiet --python "$VENV/bin/python" --no-deps -e .
if "$VENV/bin/python" -c 'import importlib.metadata as m, sys; sys.exit(not any(d.metadata["Name"].startswith("nvidia-") for d in m.distributions()))' &&
    ! command -v nvidia-smi >/dev/null 2>&1; then
    fail "CUDA packages were installed on a machine without a GPU; unset UV_FIND_LINKS and PIP_FIND_LINKS, delete .venv and try again"
fi
printf '%s' "$WANTED" >"$STAMP"
echo "setup: done"
