#!/usr/bin/env bash
# Installs what a group of checks ("test", "lint" or "fuzz") needs, once.
set -euo pipefail
cd "$(dirname "$0")/.."

group=${1:?usage: $0 test|lint|fuzz}
stamp=.venv/.ready-for-$group

[ "$stamp" -nt pyproject.toml ] && exit 0
if [ "$group" != lint ]; then
  tools/install-system-packages.sh "$group"
fi
# The types of the tests are checked too, so lint needs what they import.
.venv/bin/python -m pip install --quiet --disable-pip-version-check --editable ".[terminal,test,$group]"
touch "$stamp"
