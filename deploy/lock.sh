#!/bin/sh
# Resolves pyproject.toml for every supported platform into requirements.lock. Versions that
# still fit stay; `sh deploy/lock.sh --upgrade` takes the newest of all.
# torch and what only its CUDA build needs stay out: setup.sh picks torch by machine.
set -eu
cd "$(dirname "$0")/.."
fresh=requirements.lock.fresh
trap 'rm -f "$fresh"' EXIT
cp requirements.lock "$fresh"
.venv/uv/bin/uv pip compile pyproject.toml --all-extras --python-version 3.11 --universal \
    --no-annotate --no-header --quiet --output-file "$fresh" "$@" >/dev/null
grep -vE '^(torch|triton|nvidia-|cuda-)' "$fresh" >requirements.lock
