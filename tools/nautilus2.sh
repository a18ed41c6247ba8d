#!/bin/sh
# Makes .venv-nautilus2, in which catalogs for Nautilus 2 are verified: a pre-release that cannot be installed beside
# 1.231. The Python is that of .venv; uv is used if it is there, else pip. Instant if nothing changed since the last time.
set -eu
cd "$(dirname "$0")/.."
python=$PWD/.venv/bin/python
venv=$PWD/.venv-nautilus2

if [ ! -x "$python" ]; then
    echo "nautilus2: run 'make environment' first" >&2
    exit 1
fi

# The recipe of the environment; a copy of it in there says what was installed.
recipe() {
    cat requirements-nautilus2.txt tools/nautilus2.sh
    "$python" --version
    echo "$venv"
}

if recipe | cmp -s - "$venv/ready" && "$venv/bin/python" -c '' 2>/dev/null; then
    exit 0
fi
echo "nautilus2: making .venv-nautilus2 (half a minute the first time)" >&2
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
install --no-deps --require-hashes --only-binary :all: -r requirements-nautilus2.txt
recipe >"$venv/ready"
echo "nautilus2: ready" >&2
