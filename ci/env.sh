# Sourced by the commands in this folder. `need EXTRA...` makes sure that $python is a virtual environment that holds
# tflite-cupy, editable, with these extras; it installs only what an earlier command has not.
#
#   PYTHON=/path/to/python               which interpreter to make .venv with (default: the first that fits)
#   TFLITE_CUPY_PYTHON=/path/to/python   an environment that has everything already: used as it is

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
python=${TFLITE_CUPY_PYTHON:-$PWD/.venv/bin/python}
stamp=.venv/tflite-cupy.stamp

say() { printf '%s\n' "-- $*" >&2; }

fail() { printf '%s\n' "error: $*" >&2; exit 3; }

find_python() {
    local candidate
    for candidate in ${PYTHON:-python3 python3.13 python3.12 python3.11}; do
        if "$candidate" -c 'import sys, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$candidate"
            return
        fi
    done
    fail "no Python 3.11 or later with the venv module was found; install one, or name it: PYTHON=/path/to/python $0"
}

make_venv() {
    local base
    base=$(find_python)
    say "creating .venv with $base ($("$base" --version))"
    "$base" -m venv --clear .venv
}

install() {
    if command -v uv >/dev/null; then
        uv pip install --python "$python" --editable "$1"
    else
        "$python" -m pip install --quiet --disable-pip-version-check --editable "$1"
    fi
}

need() {
    local extra wanted have checksum
    [ -z "${TFLITE_CUPY_PYTHON:-}" ] || { say "using $python as it is"; return; }
    [ -x "$python" ] && "$python" -c '' 2>/dev/null || make_venv
    checksum=$(cksum <pyproject.toml)
    have=$( (grep -A1 -Fx "$checksum" "$stamp" 2>/dev/null || true) | tail -n +2)
    wanted=$have
    for extra in "$@"; do
        [[ " $wanted " == *" $extra "* ]] || wanted="${wanted:+$wanted }$extra"
    done
    [ "$wanted" != "$have" ] || return 0
    say "installing tflite-cupy[${wanted// /,}] into .venv (once; minutes on a new machine)"
    install ".[${wanted// /,}]" || fail "the installation failed; see above"
    printf '%s\n' "$checksum" "$wanted" >"$stamp"
}
