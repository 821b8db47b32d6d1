"""The trainer's commands. Results go to stdout (JSON with --json), progress and errors to stderr."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from sidecar.cli.numbers import Number
from sidecar.cli.one_line_errors import OneLineErrors
from sidecar.lifecycle import Reason
from trainer import report
from trainer.audit_command import audit
from trainer.canary_command import canary
from trainer.command_line import DATE, TASK, WHY, Session, find_bundle, nanoseconds_of, plain, with_session
from trainer.days import moment
from trainer.evaluation.cli import evaluate
from trainer.fit_command import fit, fit_views, fitted_json
from trainer.gate import choose
from trainer.judge import champion_of, judge, settle
from trainer.monitor.cli import monitor
from trainer.probation.command import probation
from trainer.promote import act, promote_as_decided, promote_by_override, promote_first, shadow
from trainer.register_command import register
from trainer.replay_command import replay
from trainer.run import Run, activation_words
from trainer.simulate_command import simulate
from trainer.skew.command import skew
from trainer.snapshot import code_version, find_snapshot, from_history, from_log, open_snapshot
from trainer.task import load_task
from trainer.watch_command import watch

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from sidecar.domain import Deployment
    from trainer.evidence import Evidence
    from trainer.gate import Decision
    from trainer.run import Summary


@click.group(cls=OneLineErrors, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(code_version(), prog_name="trainer")
def main() -> None:
    """Retrain on what the sidecar logged, judge candidates on live traffic, promote what earned it.

    TASK is a Python file with a module-level `task`: fields, recipes, money, policy.

    `trainer run TASK` does everything in order; the other commands are its steps. The trainer works on the
    sidecar's home folder (its log, registry, bundles and snapshots), so give both the same --config.

    Errors are one line on standard error, with exit code 2.
    """


@main.command("snapshot")
@TASK
@click.option(
    "--history-until",
    type=DATE,
    metavar="DATE",
    help="Take the task's history as known at this UTC date, not the log.",
)
@click.option("--base", help="Put the log's rows on top of this snapshot (digest or its beginning).")
@click.option(
    "--as-of",
    type=DATE,
    metavar="DATE",
    help="Take the log as known at this UTC date. Default: its newest event.",
)
@with_session
def take_snapshot(
    session: Session,
    task_path: Path,
    history_until: datetime | None,
    base: str | None,
    as_of: datetime | None,
) -> None:
    """Freeze labelled rows of the log or the history for training."""
    if history_until and (base or as_of):
        raise click.UsageError("--history-until takes the history; --base and --as-of belong to the log")
    task, root = load_task(task_path), session.config.snapshots_path
    if history_until:
        snapshot = from_history(task, moment(history_until), root=root)
    else:
        below = open_snapshot(find_snapshot(root, base)) if base else None
        with session.reader() as reader:
            with session.registry() as registry:
                champion_of(task, registry)
            snapshot = from_log(task, reader, nanoseconds_of(as_of), below, root=root)
    data = {"digest": snapshot.digest, "path": str(snapshot.path), "rows": len(snapshot)}
    session.show({**data, "facts": dict(snapshot.facts)}, report.snapshot_lines(snapshot))


@main.command("shadow")
@click.argument("bundles", metavar="BUNDLE...", nargs=-1, required=True)
@click.option("--why", default="trainer shadow", show_default=True, help="The reason, for the audit trail.")
@click.option("--override", is_flag=True, help="Let one that was rolled back try again; --why says why.")
@with_session
def start_shadow(session: Session, bundles: tuple[str, ...], why: str, override: bool) -> None:
    """Let candidates score live traffic beside the champion.

    No reply waits for them. BUNDLE is a bundle's folder, or the beginning of its digest. Each is checked for
    admission first.
    """
    versions = []
    with session.narrator() as narrator, session.registry() as registry:
        for bundle in bundles:
            path = find_bundle(session.config, bundle)
            narrator.wait(f"admission check of {path.name[:12]}")
            versions.append(shadow(registry, path, Reason(session.actor, why), override=override))
            narrator.note(f"{versions[-1].model} is in the shadow")
        narrator.wait("waiting for the sidecar to take it up")
        words = activation_words(registry, registry.deployment(), session.patience_seconds)
    models = [{**asdict(version.model), "state": version.state} for version in versions]
    session.show({"shadow": models, "activation": words}, words)


@main.command("evidence")
@TASK
@click.argument("candidate", required=False)
@click.option(
    "--as-of",
    type=DATE,
    metavar="DATE",
    help="What was known at this UTC date. Default: the log's newest event.",
)
@with_session
def show_evidence(session: Session, task_path: Path, candidate: str | None, as_of: datetime | None) -> None:
    """Show what the log says about the candidates in the shadow.

    CANDIDATE is a digest or its beginning; without it all are shown.
    """
    task = load_task(task_path)
    with session.registry() as registry, session.reader() as reader:
        only = registry.find(candidate).model.digest if candidate else None
        judged = judge(
            task,
            registry,
            reader,
            session.findings(),
            actor=session.actor,
            as_of_ns=nanoseconds_of(as_of),
            only=only,
        )
    views = [report.evidence_view(evidence, task.policy) for evidence, _ in judged]
    session.show({"evidence": [_judged_json(*pair)["evidence"] for pair in judged]}, *views)


@main.command("decide")
@TASK
@click.option("--promote", "promoting", is_flag=True, help="Promote the best of those that earned it.")
@with_session
def take_decision(session: Session, task_path: Path, promoting: bool) -> None:
    """Judge every candidate in the shadow, and keep the decisions.

    Each is kept in the registry with its evidence. Rejected candidates leave the shadow. Nothing is promoted
    without --promote.
    """
    task = load_task(task_path)
    with session.registry() as registry, session.reader() as reader:
        judged = judge(task, registry, reader, session.findings(), actor=session.actor)
        settle(registry, judged, task.policy)
        best = choose([decision for _, decision in judged])
        deployment = act(registry, best, task.policy) if best and promoting else None
        if best is None:
            words = "nobody earned promotion"
        elif deployment is None:
            words = f"{best.candidate} earned it: trainer promote {best.candidate.digest[:12]} --why ..."
        else:
            active = activation_words(registry, deployment, session.patience_seconds)
            drawn = deployment.canary
            post = f"the canary, with {drawn.words}" if drawn else "the champion"
            words = f"{best.candidate} is {post}; {active}"
    data = {
        "decisions": [_judged_json(*pair) for pair in judged],
        "promoted": bool(deployment and not deployment.canary),
        "ending": words,
    }
    session.show(data, report.decision_table(judged), words)


@main.command("promote")
@click.argument("bundle", metavar="DIGEST")
@WHY
@click.option("--first", is_flag=True, help="Make it the first champion; DIGEST may be a bundle's folder.")
@click.option("--override", is_flag=True, help="Promote without the gate's consent; the audit trail says so.")
@with_session
def promote_candidate(session: Session, bundle: str, why: str, first: bool, override: bool) -> None:
    """Make a candidate the champion, if its decision says so.

    Its newest decision counts, and it must have been made against the present champion.
    """
    if first and override:
        raise click.UsageError("give --first or --override, not both")
    with session.registry() as registry:
        if first:
            deployment = promote_first(
                registry, find_bundle(session.config, bundle), Reason(session.actor, why)
            )
        else:
            digest = registry.find(bundle).model.digest
            promote = promote_by_override if override else promote_as_decided
            deployment = promote(registry, digest, session.actor, why)
        _show_deployment(
            session, deployment, activation_words(registry, deployment, session.patience_seconds)
        )


@main.command()
@WHY
@with_session
def rollback(session: Session, why: str) -> None:
    """Take the champion back and return to the one before it."""
    with session.registry() as registry:
        deployment = registry.roll_back(Reason(session.actor, why))
        _show_deployment(
            session, deployment, activation_words(registry, deployment, session.patience_seconds)
        )


@main.command()
@TASK
@click.option(
    "--history-until",
    type=DATE,
    metavar="DATE",
    help="Fit the first champion on what was known at this UTC date.",
)
@click.option(
    "--wait",
    "wait_seconds",
    type=Number(min=0),
    help="Wait at most so many seconds for evidence to mature. Default: as long as it takes.",
)
@with_session
def run(
    session: Session, task_path: Path, history_until: datetime | None, wait_seconds: float | None
) -> None:
    """Do everything in order, from snapshot to promotion.

    Snapshot, fit, shadow, wait for evidence, decide, promote. Without a champion, the first is fitted on the
    task's history. Interrupting loses nothing: candidates stay in the shadow, and `trainer decide` judges
    them later. Holding is a result too: the exit code is 0.
    """
    task = load_task(task_path)
    with session.narrator() as narrator, session.registry() as registry:
        summary = Run(
            task=task,
            config=session.config,
            registry=registry,
            actor=session.actor,
            narrator=narrator,
            history_until_ns=nanoseconds_of(history_until),
            patience_seconds=session.patience_seconds,
            wait_seconds=wait_seconds,
        )()
    tables = []
    if summary.fitted:
        tables += fit_views(summary.fitted, task.costs.currency)
    if summary.judged:
        tables.append(report.decision_table(summary.judged))
    session.show(_summary_json(summary), *tables, summary.ending)


main.add_command(audit)
main.add_command(canary)
main.add_command(evaluate)
main.add_command(fit)
main.add_command(monitor)
main.add_command(probation)
main.add_command(register)
main.add_command(replay)
main.add_command(simulate)
main.add_command(skew)
main.add_command(watch)


def _judged_json(evidence: Evidence, decision: Decision) -> dict[str, Any]:
    return {
        **plain(asdict(decision)),
        "evidence": {
            **evidence.to_json(),
            "digest": evidence.digest,
            "gain_per_1000": plain(asdict(decision.gain)),
        },
    }


def _summary_json(summary: Summary) -> dict[str, Any]:
    return {
        "task": summary.task,
        "snapshot": summary.snapshot,
        "fitted": {recipe: fitted_json(one) for recipe, one in summary.fitted.items()},
        "decisions": [_judged_json(*pair) for pair in summary.judged],
        "promoted": asdict(summary.promoted) if summary.promoted else None,
        "ending": summary.ending,
    }


def _show_deployment(session: Session, deployment: Deployment, words: str) -> None:
    assert deployment.champion is not None
    model = deployment.champion.model
    data = {"champion": asdict(model), "generation": deployment.generation, "activation": words}
    session.show(data, f"{model} is the champion; {words}")
