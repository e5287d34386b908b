"""`gen probe`: asks the provider itself what this program and its lab believe of it."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from generator import __version__
from generator.cli.options import Factory, connect, end_on_signal, json_option, lab_option, print_json, say
from generator.cli.table import text_table
from generator.errors import Problem, raise_all

if TYPE_CHECKING:
    from generator.probe.clean import Cleaner
    from generator.probe.scope import Scope
    from generator.probe.verdicts import Row

_PHASES = ("node", "api", "volumes", "addresses", "spaces", "keys", "two")
RELEASE = "k8s-1.36"
"""Whose hosts are asked for a download's beginning."""


@click.command()
@lab_option
@click.option("--region", default="fra1", show_default=True, help="Where to ask.")
@click.option(
    "--bucket", help="Use a prefix of this bucket, made when missing and then removed, instead of one of its own."
)
@click.option("--two", is_flag=True, help="Make two droplets, and ask what passes between them as well.")
@click.option("--only", "phases", multiple=True, type=click.Choice(_PHASES), help="Ask this part alone.")
@click.option("--ssh-key", metavar="NAME", help="Let this key of the account in, too.")
@click.option("--clean", is_flag=True, help="Remove what an earlier run left, and ask nothing.")
@click.option("--yes", is_flag=True, help="Do not ask before anything is made or removed.")
@json_option
@click.pass_obj
def probe(
    factory: Factory | None,
    *,
    lab: str | None,
    region: str,
    bucket: str | None,
    two: bool,
    phases: Sequence[str],
    ssh_key: str | None,
    clean: bool,
    yes: bool,
    as_json: bool,
) -> int:
    """Ask the provider what this program and its lab believe of it, with a small droplet that is gone afterwards.

    What differs is printed with the file and the switch of the lab that have to change, and what rests on it; the
    answer as JSON names no address and no secret. Exits 1 when something differs or is not answered; what this account
    or its token does not allow is not asked, and says why.
    """
    from generator.clock import Clock, stamp
    from generator.probe import beliefs, verdicts
    from generator.probe.questions import Questions
    from generator.probe.run import Run

    end_on_signal()
    started, began = time.monotonic(), Clock().now()
    connection = connect(factory, lab=lab)
    asked = [one for one in beliefs.PHASES if one in (phases or _PHASES[:-1]) or (two and one == "two")]
    questions = Questions(asked, region, bucket, ssh_key, _downloads())
    run = Run(questions, connection, Clock(), say)
    left = run.cleaner.left()
    for scope in left:
        for line in run.cleaner.lines(scope):
            say(f"  {line}, left by an earlier run")
    if clean:
        if not left:
            say("nothing of a probe is there")
            return 0
        _ask(yes=yes, question="Remove it?")
        _remove(run.cleaner, left)
        return 0
    if not left:
        run.check()
    for line in _costs(asked, droplets=questions.needs_droplets, spaces=questions.needs_spaces):
        say(f"  {line}")
    _ask(yes=yes, question="Remove what is left, and probe?" if left else "Probe?")
    if left:
        _remove(run.cleaner, left)
        run.check()
    answers = run.carry_out()
    rows = verdicts.judge(beliefs.load(), answers, asked, in_lab=lab is not None, not_asked=run.not_asked)
    differing, silent = verdicts.differing(rows), verdicts.unanswered(rows)
    if as_json:
        print_json(
            {
                "version": 1,
                "program": __version__,
                "time": stamp(began),
                "of": "cloud" if lab is None else "lab",
                "region": region,
                "phases": asked,
                "not_asked": run.not_asked,
                "seconds": round(time.monotonic() - started),
                "api_requests": run.cloud.requests,
                "rows": [row.facts for row in rows],
                "answers": answers,
            }
        )
    else:
        head = ("BELIEF", "WHERE IT COMES FROM", "LAB", "CLOUD", "VERDICT")
        click.echo(text_table(head, (row.cells(in_lab=lab is not None) for row in rows)))
    _sum_up(rows, differing, silent)
    raise_all(run.problems)
    return 1 if differing or silent else 0


def _sum_up(rows: Sequence[Row], differing: Sequence[Row], silent: Sequence[Row]) -> None:
    for row in differing:
        say(f"differs: {row.advice}")
    for row in silent:
        say(f"not answered: {row.belief.id}")
    for why in dict.fromkeys(row.why for row in rows if row.verdict == "not asked"):
        say(f"not asked: {', '.join(row.belief.id for row in rows if row.why == why)}: {why}")
    believed, unasked = (sum(row.verdict == verdict for row in rows) for verdict in ("as believed", "not asked"))
    left_out = f", {unasked} not asked" if unasked else ""
    say(f"{believed} as believed, {len(differing)} differ, {len(silent)} not answered{left_out}")


def _costs(asked: Sequence[str], *, droplets: bool, spaces: bool) -> list[str]:
    """Say what a run makes and costs; a droplet costs a cent at least.

    Source: https://www.digitalocean.com/pricing/droplets
    """
    from generator.catalogue import SPACES_MONTHLY
    from generator.probe.machines import SIZE
    from generator.probe.volumes import LARGE, SMALL

    lines, two = [], "two" in asked
    if droplets:
        count = "2 droplets" if two else "1 droplet"
        lines.append(f"{count} {SIZE.slug} for some minutes, ${0.02 if two else 0.01:.2f}; removed at the end")
    if "volumes" in asked:
        lines.append(f"2 volumes of {SMALL} and {LARGE} GiB for some minutes, less than a cent; removed")
    if "addresses" in asked:
        lines.append("a reserved address, of which only the minutes cost without a droplet, less than a cent; removed")
    if "keys" in asked:
        lines.append("2 Spaces keys for a bucket of their own; removed")
    if spaces:
        lines.append(f"some small objects in Spaces, ${SPACES_MONTHLY} a month where the account has none yet; removed")
    return lines


def _downloads() -> list[str]:
    """Give one address of each host that a release's files come from."""
    from generator.release import lock_file

    release = lock_file.load(RELEASE, lock_file.BUILT_IN)
    urls = [one.urls[0] for one in release.artifacts] + [one.urls[0] for one in release.packages]
    return list({url.split("/")[2]: url for url in urls}.values())


def _remove(cleaner: Cleaner, scopes: Sequence[Scope]) -> None:
    for scope in scopes:
        cleaner.remove(scope)
        say(f"nothing of {scope.tag} is left")


def _ask(*, yes: bool, question: str) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        raise Problem("nobody is there to be asked", hint="`--yes` goes on without asking")
    if not click.confirm(question, err=True):
        raise Problem("nothing was made or removed")
