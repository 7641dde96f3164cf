#!/usr/bin/env bash
# `regress` against a revision in a virtual machine that counts instructions instead of time: what it calls CPU time
# are then instructions, the kernel's included, and a slowdown of a few percent shows on the busiest machine.
#
# usage: perf/guest/regress.sh REV [OPTION OF regress ...]
# GUEST names the program that boots the machine, PYTHON the interpreter with the server's packages.
# JSON and picture are left in build/guest.
set -euo pipefail
cd "$(dirname "$0")/../.."

revision=${1:?usage: $0 REV [OPTION OF regress ...]}
shift
guest=${GUEST:-../shared/tools/guest}
python=${PYTHON:-.venv/bin/python}
if [ ! -x "$guest" ]; then
  echo "regress: no program at '$guest' to boot a virtual machine with; name one with GUEST=" >&2
  exit 1
fi
tools/prepare-guest.sh

# Built here, where a compiler takes seconds and not minutes.
checkout=$PWD/build/guest-checkout
cleanup() { git worktree remove --force "$checkout" 2>/dev/null || true; }
trap cleanup EXIT
cleanup
mkdir -p build/guest
git worktree add --detach --quiet "$checkout" "$revision"
(cd "$checkout" && SMBD_REQUIRE_NATIVE=1 "$(command -v "$OLDPWD/$python" || command -v "$python")" \
  setup.py --quiet build_ext --inplace >/dev/null)

"$guest" --icount 0 --cpus 1 --timeout "${GUEST_TIMEOUT_S:-3600}" --scratch ext4 \
  --share "$PWD/build/guest:/results" --env SERVER_START_TIMEOUT_S=90 -- \
  "$python" -m perf regress --against "$checkout" --figures cpu --rounds 3 --seconds 0.5 --folder /scratch \
  --json /results/regress.json --picture /results/regress.svg "$@"
