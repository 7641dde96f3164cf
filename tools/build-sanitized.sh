#!/usr/bin/env bash
# Copies the checkout to build/<folder> and builds its native parts there for sanitizers, so that the usual build stays
# as it is.  What was built before is kept where nothing changed.
#
#   tools/build-sanitized.sh folder sanitizers     sanitizers as the compiler's -fsanitize takes them; CC= chooses it
set -euo pipefail
cd "$(dirname "$0")/.."

python=$(realpath --no-symlinks "${PYTHON:-.venv/bin/python}")
copy=$PWD/build/${1:?usage: $0 folder sanitizers}

mkdir -p "$copy"
# What git knows and what it would take; a file that went away goes in the copy, too.
find "$copy" -mindepth 1 -maxdepth 1 ! -name build -exec rm -rf {} +
git ls-files -z --cached --others --exclude-standard | xargs -0 sh -c \
  'for file; do [ -e "$file" ] || [ -L "$file" ] && printf "%s\0" "$file"; done' sh \
  | xargs -0 cp --parents --no-dereference --preserve=timestamps --target-directory "$copy"

cd "$copy"
rm -rf build/wheel
SMBD_SANITIZE=${2:?usage: $0 folder sanitizers} SMBD_REQUIRE_NATIVE=1 "$python" -m pip wheel --quiet \
  --disable-pip-version-check --no-deps --wheel-dir build/wheel .
"$python" -m zipfile -e build/wheel/*.whl .
