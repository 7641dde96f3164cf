#!/usr/bin/env bash
# Sees to it that a virtual machine with the kernel's client can be booted: installs what is missing.
set -euo pipefail
cd "$(dirname "$0")/.."

# Any kernel with the client will do, so it is looked for and not for the package that brings it.
has_everything() {
  PATH=$PATH:/sbin:/usr/sbin command -v qemu-system-x86_64 mount.cifs busybox >/dev/null \
    && compgen -G '/lib/modules/*/kernel/fs/*/client/cifs.ko*' >/dev/null
}
has_everything || tools/install-system-packages.sh guest
