"""Photographs that cannot be decoded, named together once the others are aligned."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from lfw_eval.datasets.photographs import EncodedPhotograph, decode
from lfw_eval.system.errors import UserError
from lfw_eval.system.printing import counted, first_names


@dataclass(frozen=True)
class Unreadable:
    """What could not be decoded so far.

    Attributes:
        errors: One for each photograph, in order.
    """

    errors: list[UserError] = field(default_factory=list)

    def decoded(
        self, photographs: Iterable[EncodedPhotograph]
    ) -> Iterator[tuple[str, NDArray[np.uint8]]]:
        """Yield name and pixels of those that can be decoded, and note the errors of the others."""
        for name, content, where in photographs:
            try:
                image = decode(content, where)
            except UserError as error:
                self.errors.append(error)
            else:
                yield name, image

    def require_none(self) -> None:
        """Refuse a data set with photographs that cannot be decoded.

        Raises:
            UserError: There are some; it names the first few.
        """
        if len(self.errors) == 1:
            raise self.errors[0]
        if self.errors:
            raise UserError(
                f"{counted(len(self.errors), 'photograph')} cannot be decoded: "
                f"{first_names([error.problem for error in self.errors])}",
                "replace them, or leave them out",
            )
