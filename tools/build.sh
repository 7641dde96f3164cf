#!/usr/bin/env bash
# Makes .venv with the server installed in it, native parts built where the machine can.
# Does nothing when the stamp is younger than the sources and the machine offers what it did then.
set -euo pipefail
cd "$(dirname "$0")/.."

venv=.venv
stamp=$venv/.built

# What the native parts need of the machine: a build without it is done again once it is there.
offers() {
  ls /usr/include/liburing.h /usr/include/openssl/evp.h 2>/dev/null || true
  command -v cc || true
}

is_fresh() {
  [ -e "$stamp" ] && [ "$(offers)" = "$(cat "$stamp")" ] || return 1
  [ -z "$(find pyproject.toml setup.py tools/build.sh smbd_uring/_native perf -newer "$stamp" \
    \( -name '*.toml' -o -name '*.py' -o -name '*.sh' -o -name '*.p[yx][xdi]' \) -print -quit)" ]
}

find_python() {
  local candidate
  for candidate in "${PYTHON:-}" python3 python3.14 python3.13 python3.12 python3.11; do
    if [ -n "$candidate" ] && command -v "$candidate" >/dev/null \
      && "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      echo "$candidate"
      return
    fi
  done
  echo "Python 3.11 or newer is needed; name it with PYTHON=/path/to/python3" >&2
  return 1
}

is_fresh && exit 0
tools/install-system-packages.sh build
python=$(find_python)
if [ ! -x "$venv/bin/python" ]; then
  "$python" -m venv "$venv" || {
    echo "Cannot make $venv: install the package python3-venv" >&2
    exit 1
  }
fi
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --editable '.[terminal]'
"$venv/bin/python" tools/say_native.py
offers >"$stamp"
