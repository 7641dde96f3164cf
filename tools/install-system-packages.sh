#!/usr/bin/env bash
# Installs the system packages named by group ("build", "test", "guest", "bench", "fuzz") where that is possible.
# Where it is not, prints the one command that does it and goes on: the caller copes with what is missing.
set -euo pipefail

declare -A debian=(
  [build]="gcc liburing-dev libssl-dev python3-dev python3-venv"
  [test]="samba samba-testsuite smbclient"
  [guest]="busybox-static cifs-utils linux-image-amd64 qemu-system-x86"
  [bench]="fio libnl-genl-3-200"
  [fuzz]="clang libclang-rt-dev"
)
declare -A fedora=(
  [build]="gcc liburing-devel openssl-devel python3-devel"
  [test]="samba samba-test samba-client"
  [guest]="busybox cifs-utils kernel-core qemu-system-x86"
  [bench]="fio ksmbd-tools"
  [fuzz]="clang compiler-rt"
)

group=${1:?usage: $0 build|test|guest|bench|fuzz}

if ! command -v apt-get >/dev/null; then
  if command -v dnf >/dev/null; then
    read -ra wanted <<<"${fedora[$group]}"
    missing=()
    for package in "${wanted[@]}"; do rpm -q "$package" >/dev/null 2>&1 || missing+=("$package"); done
    [ ${#missing[@]} -eq 0 ] || echo "To have everything, run: sudo dnf install -y ${missing[*]}"
  else
    echo "Neither apt-get nor dnf is here; on Fedora the packages are called: ${fedora[$group]}"
  fi
  exit 0
fi

read -ra wanted <<<"${debian[$group]}"
missing=()
for package in "${wanted[@]}"; do
  dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
done
[ ${#missing[@]} -eq 0 ] && exit 0

if [ "$(id -u)" -ne 0 ]; then
  echo "To have everything, run: sudo apt-get install -y ${missing[*]}"
  exit 0
fi

export DEBIAN_FRONTEND=noninteractive
# Debian starts what it installs; a private Samba for tests must not become a server on this machine.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod 755 "$policy"
  trap 'rm -f "$policy"' EXIT
fi
apt-get update -qq
apt-get install -y -qq --no-install-recommends "${missing[@]}" \
  || echo "Could not install ${missing[*]}; going on without." >&2
