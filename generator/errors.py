"""Every deliberate error of the program, as one problem or several."""

from __future__ import annotations

from collections.abc import Iterable

from generator.plain_text import harmless


class Problem(Exception):  # noqa: N818 - the user's word for it; it is shown, not caught by name
    """One thing that is wrong, with the place and what to do.

    Args:
        message: what is wrong, with the value found; lower case, no final period.
        where: `file:line`, a node or a provider's object; shown before the message.
        hint: what to do, when there is something to do.
    """

    def __init__(self, message: str, *, where: str | None = None, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.where = where
        self.hint = hint

    def __str__(self) -> str:
        """Show the problem as the command line does."""
        place = f"{self.where}: " if self.where else ""
        hint = f"\n  hint: {harmless(self.hint)}" if self.hint else ""
        return f"error: {harmless(place)}{harmless(self.message)}{hint}"


class Problems(Exception):  # noqa: N818 - as above
    """All problems of one stage, shown together."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__(f"{len(self.problems)} problems")

    def __str__(self) -> str:
        """Show one problem after the other."""
        return "\n".join(str(problem) for problem in self.problems)


def raise_all(problems: Iterable[Problem]) -> None:
    """Raise what was collected, if anything was.

    Raises:
        Problems: there is at least one.
    """
    found = tuple(problems)
    if found:
        raise Problems(found)
