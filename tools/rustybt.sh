#!/bin/sh
# Makes .venv-rustybt, in which folders for rustybt are verified: it needs NumPy 1 and a pandas that are not ours, and it
# comes as source whose extensions are compiled here (a minute of CPU, without optimisation). The Python is that of .venv;
# uv is used if it is there, else pip. Instant if nothing changed since the last time.
set -eu
cd "$(dirname "$0")/.."
python=$PWD/.venv/bin/python
venv=$PWD/.venv-rustybt

if [ ! -x "$python" ]; then
    echo "rustybt: run 'make environment' first" >&2
    exit 1
fi

if [ "$("$python" -c 'import sys; print(sys.version_info[:2] == (3, 12))')" != True ]; then
    echo "rustybt: needs Python 3.12, for which its NumPy has wheels; .venv has $("$python" --version)" >&2
    exit 1
fi

# The recipe of the environment; a copy of it in there says what was installed.
recipe() {
    cat requirements-rustybt.txt tools/rustybt.sh
    "$python" --version
    echo "$venv"
}

if recipe | cmp -s - "$venv/ready" && "$venv/bin/python" -c '' 2>/dev/null; then
    exit 0
fi
echo "rustybt: making .venv-rustybt (one to three minutes the first time)" >&2
rm -rf "$venv"
if command -v uv >/dev/null; then
    uv venv --quiet --python "$python" "$venv"
    install() { uv pip install --quiet --python "$venv/bin/python" "$@"; }
else
    "$python" -m venv --without-pip "$venv"
    # Where distributions pack `ensurepip` apart, the pip of the system installs into the new environment.
    pip=$python
    "$pip" -m pip --version >/dev/null 2>&1 || pip=python3
    install() { "$pip" -m pip --python "$venv/bin/python" --disable-pip-version-check install --no-compile --quiet --no-input "$@"; }
fi
# What is source is built with the pinned tools of the same environment, so those come first.
sources='^(rustybt|intervaltree)=='
wheels=$venv/wheels.txt
from_source=$venv/sources.txt
awk -v which="$sources" '/^[a-z]/ { is_source = $0 ~ which } !is_source' requirements-rustybt.txt >"$wheels"
awk -v which="$sources" '/^[a-z]/ { is_source = $0 ~ which } is_source' requirements-rustybt.txt >"$from_source"
install --no-deps --require-hashes --only-binary :all: -r "$wheels"
CFLAGS="-O0 -g0" install --no-deps --require-hashes --no-build-isolation -r "$from_source"
recipe >"$venv/ready"
echo "rustybt: ready" >&2
