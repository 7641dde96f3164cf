#!/usr/bin/env bash
# Runs tests against native parts that are built with AddressSanitizer and UndefinedBehaviorSanitizer; with
# SANITIZERS=thread in the environment, with ThreadSanitizer.  Works on a copy in build/, so that the usual
# build stays as it is.  Fails when a test does and when a sanitizer has anything to report, in whatever process.
#
#   tools/test-sanitized.sh [pytest options and paths; tests/unit without any]
set -euo pipefail
cd "$(dirname "$0")/.."

python=$(realpath --no-symlinks "${PYTHON:-.venv/bin/python}")
project=$PWD
sanitizers=${SANITIZERS:-address,undefined}
name=sanitized-${sanitizers%%,*}
copy=$project/build/$name
reports=$copy/build/reports

tools/build-sanitized.sh "$name" "$sanitizers"
cd "$copy"
rm -rf "$reports"
mkdir -p "$reports"
# The interpreter knows nothing of the sanitizer, so that must be there first; Python's own allocator would hide from
# it what belongs to whom.  Leaks are those of the interpreter, which frees little when it ends.
library=libasan.so
[ "$sanitizers" != thread ] || library=libtsan.so
export LD_PRELOAD=$(${CC:-cc} -print-file-name=$library)
export PYTHONMALLOC=malloc PYTHONPATH=$copy SMBD_IMPL=native
# A library of the tests loads its modules in a way that the sanitizer cannot follow, unless asked not to.
export PYCRYPTODOME_DISABLE_DEEPBIND=1
export ASAN_OPTIONS=detect_leaks=0:log_path=$reports/address
export UBSAN_OPTIONS=print_stacktrace=1:log_path=$reports/undefined
# The interpreter is not instrumented: what it does under the GIL would look like races.
export TSAN_OPTIONS=ignore_noninstrumented_modules=1:log_path=$reports/thread
[ $# -gt 0 ] || set -- tests/unit
status=0
# Left out: freed memory is kept by the sanitizer for a while, so the process does grow, and nothing that is said to
# the usual allocator is heard; the copy has no history to compare with.
# Without randomised addresses, among which ThreadSanitizer does not always find room.
setarch -R "$python" -m pytest -q -p no:cacheprovider -p no:faulthandler --hypothesis-profile=unhurried \
  --deselect tests/unit/native/test_crypto.py::test_keys_that_come_and_go_take_no_memory \
  --deselect tests/unit/server/test_process.py::test_a_settled_process_keeps_freed_memory_and_its_old_objects_out_of_collections \
  --ignore tests/tidy "$@" || status=$?

if [ -n "$(ls "$reports")" ]; then
  head -n 60 "$reports"/*
  echo "The sanitizers have something to report: see $reports" >&2
  exit 1
fi
exit $status
