#!/bin/sh
# Starts Escalator from this kit: sh start.sh
here=$(cd "$(dirname "$0")" && pwd)
for python in python3.13 python3.12 python3.11 python3; do
    command -v "$python" >/dev/null 2>&1 && exec "$python" "$here/use.pyz" "$@"
done
echo "Python is missing. Install 3.11, 3.12 or 3.13, then run this again." >&2
exit 1
