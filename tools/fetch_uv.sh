#!/bin/sh
# Makes sure of .venv-tools/bin/uv, the pinned one: tools/fetch_uv.sh PYTHON
# PYTHON is any with pip. Exit code 1 if it cannot be had; instant if it is there.
set -eu
cd "$(dirname "$0")/.."
python=$1
tools=.venv-tools

if cmp -s requirements-uv.txt $tools/ready && $tools/bin/uv --version >/dev/null 2>&1; then
    exit 0
fi
rm -rf $tools
"$python" -m pip --disable-pip-version-check install --quiet --no-input --no-compile --target $tools \
    --no-deps --require-hashes --only-binary :all: -r requirements-uv.txt >/dev/null 2>&1 || exit 1
$tools/bin/uv --version >/dev/null 2>&1 || exit 1
cp requirements-uv.txt $tools/ready
