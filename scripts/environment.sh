# Sourced by the other scripts: makes .venv beside the project where it is missing, installs the
# project into it when setup.cfg or pyproject.toml changed, and puts it first on the PATH.
# PYTHON names the interpreter to make it with (3.10 or newer). INSTALL_EXTRA, set by the sourcing
# script, names an extra of setup.cfg.

project=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
venv="$project/.venv"
stamp="$venv/installed${INSTALL_EXTRA:+-$INSTALL_EXTRA}"

if ! "${PYTHON:-python3}" -c 'import sys; sys.exit(sys.version_info < (3, 10))'; then
    echo "${PYTHON:-python3} must be Python 3.10 or newer; set PYTHON to one that is" >&2
    exit 2
fi
if [ ! -e "$stamp" ] || [ "$project/setup.cfg" -nt "$stamp" ] \
    || [ "$project/pyproject.toml" -nt "$stamp" ]; then
    echo "Installing into $venv" >&2
    "${PYTHON:-python3}" -m venv "$venv" \
        && "$venv/bin/python" -m pip install --quiet --editable \
            "$project${INSTALL_EXTRA:+[$INSTALL_EXTRA]}" >&2 \
        && touch "$stamp" \
        || { echo "The installation failed; mend what pip says above and run again" >&2; exit 2; }
fi
PATH="$venv/bin:$PATH"
