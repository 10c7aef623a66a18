# Sourced by the other scripts: the checkout's own .venv, exactly as locked. Nothing outside it is touched.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
python="$root/.venv/bin/python"

find_python() {
    local candidate
    for candidate in python3 python3.13 python3.12 python3.11; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
    echo "gpucheck needs Python 3.11 or newer, and none is on PATH" >&2
    echo "tip: on Debian 12, Ubuntu 24.04 and newer: apt install python3 python3-venv" >&2
    exit 2
}

# ensure_venv LOCK: .venv holds what requirements/LOCK.txt names. Quick when it already does.
ensure_venv() {
    local lock="$root/requirements/$1.txt" installed="$root/.venv/$1.txt"
    cmp -s "$lock" "$installed" && return
    local base
    base=$(find_python)
    if [ ! -w "$root" ]; then
        echo "gpucheck makes its environment in $root, where this user may not write" >&2
        echo "tip: clone it into a folder of your own" >&2
        exit 2
    fi
    echo "setting up $root/.venv from requirements/$1.txt (once)" >&2
    if [ ! -x "$python" ] || ! "$python" -m pip --version >/dev/null 2>&1; then
        if ! "$base" -m venv --clear "$root/.venv" >&2; then
            echo "tip: on Debian and Ubuntu: apt install python3-venv" >&2
            exit 2
        fi
    fi
    "$python" -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: -r "$lock" >&2 || {
        echo "tip: is a package index reachable? pip.conf, PIP_INDEX_URL and HTTPS_PROXY are honoured" >&2
        exit 2
    }
    # A path file instead of an editable install, which would fetch a build backend that no hash pins.
    "$python" -c 'import pathlib, sys, sysconfig
pathlib.Path(sysconfig.get_path("purelib"), "gpucheck-checkout.pth").write_text(sys.argv[1] + "\n")' "$root"
    cp "$lock" "$installed"
}
