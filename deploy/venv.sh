#!/bin/sh
# Make the virtual environment: sh deploy/venv.sh DIRECTORY
set -eu
python=${PYTHON:-python3}
if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
    echo "weighhouse needs Python 3.11 or newer as $python (set PYTHON to name another)" >&2
    exit 2
fi
if ! "$python" -c 'import venv, ensurepip' 2>/dev/null; then
    # Debian keeps venv in a package of its own.
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        apt-get update -q && apt-get install -q -y python3-venv
    else
        echo "python3-venv is missing: install it (apt-get install python3-venv), then run make again" >&2
        exit 2
    fi
fi
"$python" -m venv "$1"
"$1/bin/pip" install --quiet --upgrade "pip>=25.1"
"$1/bin/pip" install --quiet --editable . --group dev
