#!/usr/bin/env bash
# Has libFuzzer look for bytes that make the native parts read or write where they must not, hang, leak or answer
# nonsense.  Works on a copy in build/fuzzed, built by clang with AddressSanitizer and UndefinedBehaviorSanitizer.
# What was found lies in build/fuzz-findings, inputs worth keeping in build/fuzz-corpus.
#
#   tools/fuzz-native.sh [seconds of each target, 600 without] [target ...]     parser_target, connection_target
set -euo pipefail
cd "$(dirname "$0")/.."

python=$(realpath --no-symlinks "${PYTHON:-.venv/bin/python}")
seconds=${1:-600}
shift || true
[ $# -gt 0 ] || set -- parser_target connection_target
project=$PWD
targets=$project/tests/fuzz/native
built=$project/build/fuzzed/targets
findings=$project/build/fuzz-findings
SANITIZERS=address,undefined

command -v clang >/dev/null || { echo "libFuzzer comes with clang, which is not here" >&2; exit 1; }
CC=clang tools/build-sanitized.sh fuzzed "fuzzer-no-link,$SANITIZERS"
mkdir -p "$built" "$findings"
# The targets are programs with an interpreter inside: the plane's modules find each other through it.
variable() { "$python" -c "import sysconfig; print(sysconfig.get_config_var('$1'))"; }
include=$("$python" -c "import sysconfig; print(sysconfig.get_paths()['include'])")
library=$(variable LIBDIR)
for target in "$@"; do
  "$python" -m cython -3 -I"$project" -I"$targets" "$targets/$target.pyx" -o "$built/$target.c"
  clang -O1 -g -fno-omit-frame-pointer -fsanitize="fuzzer,$SANITIZERS" -rdynamic -I"$include" "$built/$target.c" \
    -o "$built/$target" -L"$library" -Wl,-rpath,"$library" "-lpython$(variable LDVERSION)" -luring
done

for target in "$@"; do
  mkdir -p "$project/build/fuzz-corpus/$target"
  "$python" -m tests.fuzz.native.seeds "$target" "$project/build/fuzz-corpus/$target"
done

export PYTHONPATH=$project/build/fuzzed PYTHONMALLOC=malloc SMBD_IMPL=native PYTHONHOME
PYTHONHOME=$("$python" -c "import sys; print(sys.base_prefix)")
export ASAN_OPTIONS=detect_leaks=1 UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1
# The interpreter and its modules keep what they allocate once.
export LSAN_OPTIONS=suppressions=$targets/leaks.txt:print_suppressions=0
for target in "$@"; do
  "$built/$target" -max_total_time="$seconds" -timeout=10 -max_len=16384 -print_final_stats=1 \
    -dict="$targets/smb2.dict" -artifact_prefix="$findings/$target-" "$project/build/fuzz-corpus/$target"
done
