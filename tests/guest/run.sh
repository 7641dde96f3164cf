#!/usr/bin/env bash
# The Linux kernel's own client against our server, in a virtual machine over this machine's files.
#
# usage: tests/guest/run.sh [--target own|samba] [OPTION OF mounts.py ...]
# GUEST names the program that boots the machine, PYTHON the interpreter with the server's packages.
set -euo pipefail
cd "$(dirname "$0")/../.."

guest=${GUEST:-../shared/tools/guest}
python=${PYTHON:-.venv/bin/python}
if [ ! -x "$guest" ]; then
  echo "test-guest: no program at '$guest' to boot a virtual machine with; name one with GUEST=" >&2
  exit 1
fi

tools/prepare-guest.sh

# The machine is emulated: starting Python alone takes seconds.
exec "$guest" --env SERVER_START_TIMEOUT_S=90 --timeout "${GUEST_TIMEOUT_S:-900}" --scratch ext4 --cpus 2 -- \
  "$python" -m tests.guest.mounts "$@"
