#!/bin/sh
# Resolves pyproject.toml for every supported platform into requirements.lock.
# torch and what only its CUDA build needs stay out: setup.sh picks torch by machine.
set -eu
cd "$(dirname "$0")/.."
.venv/uv/bin/uv pip compile pyproject.toml --all-extras --python-version 3.11 --universal \
    --no-annotate --no-header --quiet |
    grep -vE '^(torch|triton|nvidia-|cuda-)' >requirements.lock.fresh
mv requirements.lock.fresh requirements.lock
