#!/usr/bin/env bash
# fio through the Linux kernel's client against ksmbd, Samba and this server, in a virtual machine that counts
# instructions instead of time, so that figures repeat whatever else this machine does.
#
# usage: perf/guest/run.sh [OPTION OF compare.py ...]
# GUEST names the program that boots the machine, PYTHON the interpreter with the server's packages.
set -euo pipefail
cd "$(dirname "$0")/../.."

guest=${GUEST:-../shared/tools/guest}
python=${PYTHON:-.venv/bin/python}
if [ ! -x "$guest" ]; then
  echo "bench-guest: no program at '$guest' to boot a virtual machine with; name one with GUEST=" >&2
  exit 1
fi

tools/prepare-guest.sh
tools/install-system-packages.sh bench

# Debian's ksmbd-tools and samba exclude each other as packages, not as files.
ksmbd=build/ksmbd-tools
if [ ! -x "$ksmbd/usr/sbin/ksmbd.mountd" ]; then
  mkdir -p "$ksmbd"
  (cd "$ksmbd" && apt-get download -qq ksmbd-tools && dpkg -x ksmbd-tools_*.deb .)
fi

exec "$guest" --icount 0 --cpus 1 --timeout "${GUEST_TIMEOUT_S:-3600}" --scratch ext4 \
  --env SERVER_START_TIMEOUT_S=90 --env "KSMBD_TOOLS=$PWD/$ksmbd/usr/sbin" -- \
  "$python" -m smbd_uring.perf.guest.compare "$@"
