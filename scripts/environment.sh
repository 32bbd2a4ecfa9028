# Sourced by the other scripts: makes .venv beside the project where it is missing, installs the
# project into it when setup.cfg, pyproject.toml or requirements/ changed, and puts it first on the
# PATH. PYTHON names the interpreter to make it with (3.10 or newer). INSTALL_EXTRA, set by the
# sourcing script, names an extra of setup.cfg. UNPINNED=1 installs the newest releases of what the
# project needs, instead of those that it was tested with.

project=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
venv="$project/.venv"
stamp="$venv/installed${INSTALL_EXTRA:+-$INSTALL_EXTRA}"

if ! "${PYTHON:-python3}" -c 'import sys; sys.exit(sys.version_info < (3, 10))'; then
    echo "${PYTHON:-python3} must be Python 3.10 or newer; set PYTHON to one that is" >&2
    exit 2
fi
# The releases tested with this Python, or with the newest that is older.
pins=$("${PYTHON:-python3}" -c 'import sys; print(f"python3.{min(sys.version_info[1], 12)}.txt")')
pins="$project/requirements/$pins"
if [ ! -e "$stamp" ] || [ "$project/setup.cfg" -nt "$stamp" ] \
    || [ "$project/pyproject.toml" -nt "$stamp" ] || [ "$pins" -nt "$stamp" ]; then
    echo "Installing into $venv" >&2
    constraint=(--constraint "$pins")
    [ "${UNPINNED:-0}" = 0 ] || constraint=()
    "${PYTHON:-python3}" -m venv "$venv" \
        && "$venv/bin/python" -m pip install --quiet ${constraint[@]+"${constraint[@]}"} \
            --editable "$project${INSTALL_EXTRA:+[$INSTALL_EXTRA]}" >&2 \
        && touch "$stamp" \
        || {
            echo "The installation failed; mend what pip says above and run again." >&2
            echo "If a release of ${pins#"$project"/} cannot be had here, UNPINNED=1 takes others." >&2
            exit 2
        }
fi
PATH="$venv/bin:$PATH"
