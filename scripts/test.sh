#!/usr/bin/env bash
# Installs what the tests need and runs them: style, types, import contracts, unit and end-to-end
# tests. Options go to pytest: -m "not slow" runs what takes a minute.
set -euo pipefail
INSTALL_EXTRA=dev
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
cd "$project"
ruff check .
ruff format --check .
mypy
lint-imports
# The same examples every time; HYPOTHESIS_PROFILE=search looks for new ones.
HYPOTHESIS_PROFILE="${HYPOTHESIS_PROFILE:-ci}" exec pytest "$@"
