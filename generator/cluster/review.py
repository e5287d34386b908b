"""Says which commit holds what a launch sends: that is what was reviewed."""

from __future__ import annotations

from dataclasses import dataclass

from generator import git
from generator.errors import Problem, raise_all
from generator.plan.project import Project
from generator.release import lock_file


@dataclass(frozen=True)
class Review:
    """The commit whose documents boot, with its subject; both empty where no repository vouches for them."""

    commit: str = ""
    subject: str = ""


def of(project: Project, *, uncommitted: bool) -> Review:
    """Find the commit that holds the description, its lock and all documents as they are.

    Args:
        uncommitted: whether what is in no commit may be sent.

    Raises:
        Problems: something of it is not committed as it is.
    """
    if uncommitted or not git.surrounds(project.directory):
        return Review()
    paths = [project.file.name, project.rendered]
    if lock_file.is_own(project.release.name):
        paths.append(f"{lock_file.OWN}/{project.release.name}.yaml")
    asked = ["status", "--porcelain=v1", "-z", "--ignored", "--untracked-files=all", "--", *paths]
    changed = [entry for entry in git.ask(project.directory, asked).split("\0") if entry]
    if changed:
        more = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
        message = f"`{changed[0][3:]}`{more} is not committed, so nobody can have reviewed what would boot"
        all_of_it = ", ".join(f"`{path}`" for path in paths)
        hint = f"commit {all_of_it}; or `--uncommitted`, for a cluster that nobody relies on"
        raise_all([Problem(message, where=str(project.directory), hint=hint)])
    commit, _, subject = git.ask(project.directory, ["log", "-1", "--format=%H %s"]).strip().partition(" ")
    return Review(commit, subject)
