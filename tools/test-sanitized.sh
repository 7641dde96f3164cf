#!/usr/bin/env bash
# Runs tests against native parts that are built with AddressSanitizer and UndefinedBehaviorSanitizer.
# Works on a copy in build/sanitized, so that the usual build stays as it is.  Fails when a test does and when a
# sanitizer has anything to report, in whatever process.
#
#   tools/test-sanitized.sh [pytest options and paths; tests/unit without any]
set -euo pipefail
cd "$(dirname "$0")/.."

python=$(realpath --no-symlinks "${PYTHON:-.venv/bin/python}")
project=$PWD
copy=$project/build/sanitized
reports=$copy/build/reports

mkdir -p "$copy"
# What git knows and what it would take; a file that went away goes in the copy, too.
find "$copy" -mindepth 1 -maxdepth 1 ! -name build -exec rm -rf {} +
git ls-files -z --cached --others --exclude-standard | xargs -0 sh -c \
  'for file; do [ -e "$file" ] || [ -L "$file" ] && printf "%s\0" "$file"; done' sh \
  | xargs -0 cp --parents --no-dereference --preserve=timestamps --target-directory "$copy"

cd "$copy"
SMBD_SANITIZE=address,undefined SMBD_REQUIRE_NATIVE=1 "$python" -m pip wheel --quiet --disable-pip-version-check \
  --no-deps --wheel-dir build/wheel .
"$python" -m zipfile -e build/wheel/*.whl .

rm -rf "$reports"
mkdir -p "$reports"
# The interpreter knows nothing of the sanitizer, so that must be there first; Python's own allocator would hide from
# it what belongs to whom.  Leaks are those of the interpreter, which frees little when it ends.
export LD_PRELOAD=$(${CC:-cc} -print-file-name=libasan.so)
export PYTHONMALLOC=malloc PYTHONPATH=$copy SMBD_IMPL=native
# A library of the tests loads its modules in a way that the sanitizer cannot follow, unless asked not to.
export PYCRYPTODOME_DISABLE_DEEPBIND=1
export ASAN_OPTIONS=detect_leaks=0:log_path=$reports/address
export UBSAN_OPTIONS=print_stacktrace=1:log_path=$reports/undefined
[ $# -gt 0 ] || set -- tests/unit
status=0
# Left out: freed memory is kept by the sanitizer for a while, so the process does grow.
"$python" -m pytest -q -p no:cacheprovider -p no:faulthandler --hypothesis-profile=unhurried \
  --deselect tests/unit/native/test_crypto.py::test_keys_that_come_and_go_take_no_memory "$@" || status=$?

if [ -n "$(ls "$reports")" ]; then
  head -n 60 "$reports"/*
  echo "The sanitizers have something to report: see $reports" >&2
  exit 1
fi
exit $status
