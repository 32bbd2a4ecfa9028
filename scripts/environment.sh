# Sourced by the other scripts: makes .venv beside the project where it is missing, installs the
# project into it when setup.cfg, pyproject.toml or requirements/ changed, and puts it first on the
# PATH. PYTHON names the interpreter to make it with (3.10 or newer). INSTALL_EXTRA, set by the
# sourcing script, names an extra of setup.cfg. UNPINNED=1 installs the newest releases of what the
# project needs, instead of those that it was tested with.

project=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
venv="$project/.venv"
stamp="$venv/installed${INSTALL_EXTRA:+-$INSTALL_EXTRA}"

if ! command -v "${PYTHON:-python3}" >/dev/null; then
    echo "${PYTHON:-python3} does not exist; set PYTHON to a Python 3.10 or newer" >&2
    exit 2
fi
if ! "${PYTHON:-python3}" -c 'import sys; sys.exit(sys.version_info < (3, 10))'; then
    echo "${PYTHON:-python3} is too old; set PYTHON to a Python 3.10 or newer" >&2
    exit 2
fi
# The releases tested with this Python, or with the newest that is older.
pins=$("${PYTHON:-python3}" -c 'import sys; print(f"python3.{min(sys.version_info[1], 12)}.txt")')
pins="$project/requirements/$pins"
if [ ! -e "$stamp" ] || [ "$project/setup.cfg" -nt "$stamp" ] \
    || [ "$project/pyproject.toml" -nt "$stamp" ] || [ "$pins" -nt "$stamp" ]; then
    echo "Installing into $venv" >&2
    trap 'exit 130' INT # pip ends with another code, as if the installation had failed
    constraint=(--constraint "$pins")
    [ "${UNPINNED:-0}" = 0 ] || constraint=()
    "${PYTHON:-python3}" -m venv "$venv" \
        && "$venv/bin/python" -m pip install --quiet ${constraint[@]+"${constraint[@]}"} \
            --editable "$project${INSTALL_EXTRA:+[$INSTALL_EXTRA]}" >&2 \
        && touch "$stamp" \
        || {
            echo "the installation failed; fix what pip reports above and rerun the same command" >&2
            echo "if a release in ${pins#"$project"/} is unavailable here, set UNPINNED=1 to take others" >&2
            exit 2
        }
    trap - INT
fi
PATH="$venv/bin:$PATH"
