#!/usr/bin/env bash
# Installs what the tests need and runs them: style, types, unit and end-to-end tests.
set -euo pipefail
INSTALL_EXTRA=dev
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
cd "$project"
ruff check .
ruff format --check .
mypy
exec pytest "$@"
