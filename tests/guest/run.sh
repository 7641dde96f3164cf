#!/usr/bin/env bash
# The Linux kernel's own client against our server, in a virtual machine over this machine's files.
#
# usage: tests/guest/run.sh mounts|demonstration [OPTION OF mounts.py OR demonstration.py ...]
# GUEST names the program that boots the machine, PYTHON the interpreter with the server's packages,
# GUEST_KERNEL the kernel's release, or a part of it (the newest).
set -euo pipefail
cd "$(dirname "$0")/../.."

guest=${GUEST:-../shared/tools/guest}
python=${PYTHON:-.venv/bin/python}
module=${1:?mounts or demonstration}
shift
if [ ! -x "$guest" ]; then
  echo "run.sh: no program at '$guest' to boot a virtual machine with; name one with GUEST=" >&2
  exit 1
fi

tools/prepare-guest.sh

# The machine is emulated: starting Python alone takes seconds.
exec "$guest" --env SERVER_START_TIMEOUT_S=90 --timeout "${GUEST_TIMEOUT_S:-900}" --scratch ext4 --cpus 2 \
  ${GUEST_KERNEL:+--kernel "$GUEST_KERNEL"} -- "$python" -m "tests.guest.$module" "$@"
