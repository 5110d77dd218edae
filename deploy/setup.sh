#!/bin/sh
# Makes .venv with every pinned dependency; a second call finds its stamp and returns at once.
#
# torch is not in the lock: which build is right depends on the machine. A folder of wheels named by
# UV_FIND_LINKS or PIP_FIND_LINKS comes first, unless it would bring CUDA to a machine without a
# GPU, which uv's plan tells before anything is downloaded; otherwise uv asks the driver and takes
# the CPU build where there is no GPU.
set -eu
cd "$(dirname "$0")/.."

VENV=.venv
STAMP=$VENV/.installed
NAME_ONE="name one: make setup PYTHON=/path/to/python3.11"

fail() {
    printf 'setup: %s\n' "$1" >&2
    exit 1
}

is_right() {
    "$1" -c 'import sys; sys.exit(not ((3, 11) <= sys.version_info[:2] < (3, 13)))' 2>/dev/null
}

build_of() {
    "$1" -c 'import sys; print(sys.version)' 2>/dev/null || true
}

has_gpu() {
    command -v nvidia-smi >/dev/null 2>&1
}

if [ -n "${PYTHON:-}" ]; then
    is_right "$PYTHON" || fail "'$PYTHON' is not Python 3.11 or 3.12; $NAME_ONE"
else
    for candidate in "$VENV/bin/python" python3.11 python3 python3.12; do
        if is_right "$candidate"; then
            PYTHON=$candidate
            break
        fi
    done
    [ -n "${PYTHON:-}" ] ||
        fail "Python 3.11 or 3.12 is needed and not on the PATH; install it, or $NAME_ONE"
fi

TORCH=$(sed -n 's/^ *"\(torch==[^"]*\)".*/\1/p' pyproject.toml)
WANTED=$(cat pyproject.toml requirements.lock | cksum)-$("$PYTHON" --version)
if [ "$(build_of "$VENV/bin/python")" != "$(build_of "$PYTHON")" ]; then
    rm -rf "$VENV" # made with another Python
elif [ -f "$STAMP" ] && [ "$(cat "$STAMP")" = "$WANTED" ]; then
    exit 0
fi

echo "setup: making $VENV (about a minute on a good connection)"
if [ ! -x "$VENV/bin/python" ]; then
    "$PYTHON" -m venv "$VENV" 2>/dev/null || {
        rm -rf "$VENV"
        "$PYTHON" -m venv --without-pip "$VENV" ||
            fail "'$PYTHON -m venv' failed; install the venv module (Debian: apt install python3-venv)"
    }
fi
UV=$VENV/uv/bin/uv
if [ ! -x "$UV" ]; then
    for owner in "$VENV/bin/python" "$PYTHON" python3.11 python3 python3.12; do
        if "$owner" -m pip --version >/dev/null 2>&1; then
            PIP=$owner
            break
        fi
    done
    [ -n "${PIP:-}" ] ||
        fail "pip is missing; install it (Debian: apt install python3-pip python3-venv)"
    "$PIP" -m pip install --quiet --disable-pip-version-check --target "$VENV/uv" 'uv>=0.9' ||
        fail "could not install uv; is the package index reachable?"
fi

into_venv() {
    "$UV" pip install --python "$VENV/bin/python" "$@"
}

plans_cuda() {
    into_venv --dry-run -r requirements.lock "$TORCH" 2>&1 | grep -qE '^ \+ (nvidia|cuda)-'
}

[ -n "${UV_FIND_LINKS:-}" ] || [ -z "${PIP_FIND_LINKS:-}" ] || export UV_FIND_LINKS="$PIP_FIND_LINKS"
BACKEND=--torch-backend=auto
if [ -n "${UV_FIND_LINKS:-}" ]; then
    if has_gpu || ! plans_cuda; then
        BACKEND=
    else
        echo "setup: $UV_FIND_LINKS has no CPU build of torch; taking PyTorch's own"
    fi
fi
# shellcheck disable=SC2086  # an empty BACKEND must vanish
into_venv --quiet $BACKEND -r requirements.lock "$TORCH" ||
    fail "some packages could not be installed (see above); run the same command again"
into_venv --quiet --no-deps --no-build-isolation -e . ||
    into_venv --quiet --no-deps -e . ||
    fail "the project itself could not be installed (see above); run the same command again"
if "$VENV/bin/python" -c 'import importlib.metadata as m, sys; sys.exit(not any(d.metadata["Name"].startswith("nvidia-") for d in m.distributions()))' &&
    ! has_gpu; then
    fail "CUDA packages were installed on a machine without a GPU; unset UV_FIND_LINKS and PIP_FIND_LINKS, delete .venv and try again"
fi
printf '%s' "$WANTED" >"$STAMP"
echo "setup: done"
