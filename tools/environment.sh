#!/bin/sh
# Makes .venv hold exactly what the lock files say, and the project itself: tools/environment.sh runtime|dev
# Uses uv if it is there or pip can fetch it, else pip. Instant if nothing changed since the last time.
set -eu
cd "$(dirname "$0")/.."
venv=$PWD/.venv

case ${1:-} in
runtime) set -- requirements.txt ;;
dev) set -- requirements.txt requirements-dev.txt ;;
*)
    echo "usage: tools/environment.sh runtime|dev" >&2
    exit 2
    ;;
esac
ready=$venv/ready-$#

say() { echo "environment: $*" >&2; }

# The recipe of the environment; a copy of it in .venv says what was installed.
recipe() {
    cat "$@" pyproject.toml .python-version tools/environment.sh
    echo "$venv"
}

suitable() { "$1" -c 'import sys; sys.exit(not (3, 12) <= sys.version_info[:2] < (3, 14))' >/dev/null 2>&1; }

# An environment does not survive being moved: its commands carry its path.
in_place() { grep -qF "$venv" "$venv/bin/activate" 2>/dev/null && suitable "$venv/bin/python"; }

if recipe "$@" | cmp -s - "$ready" && in_place; then
    exit 0
fi

find_python() {
    if [ -n "${PYTHON:-}" ]; then
        if suitable "$PYTHON"; then command -v "$PYTHON"; else say "PYTHON=$PYTHON is not a Python 3.12 or 3.13" && return 1; fi
        return
    fi
    pyenv_versions=${PYENV_ROOT:-$HOME/.pyenv}/versions
    for candidate in python3.12 python3.13 python3 python "$pyenv_versions"/3.12*/bin/python3 "$pyenv_versions"/3.13*/bin/python3; do
        if suitable "$candidate"; then
            command -v "$candidate"
            return
        fi
    done
    if command -v uv >/dev/null && uv python find --quiet '>=3.12,<3.14'; then
        return
    fi
    say "no Python 3.12 or 3.13 was found ($(python3 --version 2>&1 || true) is what 'python3' gives)."
    say "Install one (for instance 'pyenv install 3.12' or 'uv python install 3.12'), or name it: make PYTHON=/path/to/python3.12 ..."
    return 1
}

if ! in_place; then
    python=$(find_python)
    say "making .venv with $("$python" --version) ($python)"
    rm -rf "$venv"
    if command -v uv >/dev/null; then
        uv venv --quiet --python "$python" "$venv"
    elif ! "$python" -m venv "$venv" >/dev/null 2>&1; then
        # Distributions pack `ensurepip` apart; then the pip that is there installs into the new environment.
        "$python" -m venv --clear --without-pip "$venv"
    fi
fi

# By pip alone, which unpacks one package after the other, the same takes a minute more.
by_uv() { return 1; }
if command -v uv >/dev/null; then
    install() { uv pip install --quiet --python "$venv/bin/python" "$@"; }
elif "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
    # What is never imported is never compiled: the first import does it, which takes less in sum.
    install() { "$venv/bin/python" -m pip --disable-pip-version-check install --no-compile --quiet --no-input "$@"; }
else
    python=$(find_python)
    install() { "$python" -m pip --python "$venv/bin/python" --disable-pip-version-check install --no-compile --quiet --no-input "$@"; }
fi

if ! command -v uv >/dev/null; then
    python=${python:-$(find_python)}
    if sh tools/fetch_uv.sh "$python"; then
        by_uv() { "$python" tools/uv_as_pip.py .venv-tools/bin/uv pip install --quiet --python "$venv/bin/python" "$@"; }
    fi
fi

rm -f "$venv"/ready-*
say "installing the locked packages (a minute or two the first time)"
locked=""
for file in "$@"; do locked="$locked -r $file"; done
# Nothing is resolved here: the lock files are complete, and `make lock` saw to it that they fit together.
locked="--no-deps --require-hashes --only-binary :all: $locked"
# shellcheck disable=SC2086 # a list of options, of file names without blanks
by_uv $locked || install $locked
# The build tool is among the locked packages, so nothing more is fetched.
install --no-deps --no-index --no-build-isolation --editable .

# What a service imports is compiled here, once: it may run as a user who cannot write next to the code, and would
# compile everything at each start of a run. The rest of the packages is never imported, and stays as it is.
say "compiling what is imported"
env -u PYTHONDONTWRITEBYTECODE "$venv/bin/python" -W ignore tools/compile_imports.py

if [ $# -eq 2 ]; then
    recipe requirements.txt >"$venv/ready-1"
fi
recipe "$@" >"$ready"
say "ready"
