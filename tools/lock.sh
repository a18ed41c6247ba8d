#!/bin/sh
# Pins the requirements of pyproject.toml with hashes: tools/lock.sh [--upgrade]
# Without --upgrade, versions already pinned stay. The files hold for Python 3.12 and 3.13 on every platform.
set -eu
cd "$(dirname "$0")/.."

uv=.venv-tools/bin/uv
sh tools/fetch_uv.sh "${PYTHON:-python3}"

pin() {
    output=$1
    shift
    $uv pip compile --quiet --universal --python-version 3.12 --generate-hashes --no-strip-extras --no-emit-index-url \
        --no-emit-find-links --custom-compile-command 'make lock' --output-file "$output" "$@" >/dev/null
}

pin requirements.txt pyproject.toml --group build --extra nautilus --extra backtrader --extra s3 --extra sources --extra migration \
    --extra server --extra celery "$@"
pin requirements-dev.txt --group pyproject.toml:dev --constraints requirements.txt "$@"
echo 'uv>=0.13,<1' >.venv-tools/uv.in
pin requirements-uv.txt .venv-tools/uv.in "$@"
