"""`crofai plan`: from usage to replicas of each model, and how that would do."""

import csv
import io
import json
import re
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from gateway.cli import tables
from gateway.cli.admin import Admin, connect
from gateway.cli.api import Url
from gateway.cli.failures import CommandFailed
from gateway.planning import report, workload
from gateway.planning.comparison import Week, compare
from gateway.planning.demand import TIMES, Usage, UsageError
from gateway.planning.planner import Plan, plan
from gateway.planning.pools import WEEK, Arrivals, Goal, Pool
from gateway.planning.recorded import recorded
from gateway.planning.since import parse_since
from shared.catalog import Catalog, load_catalog
from shared.errors import ModelNotFound
from shared.settings import Settings, load_settings
from shared.tiers import load_tiers

MOST_DAYS = 365


def plan_replicas(
    gpus: Annotated[int, typer.Option(min=1, help="All GPUs that there are for models.")],
    since: Annotated[str, typer.Option(help="How far back to look: 36h, 7d or 4w.")] = "7d",
    share: Annotated[float, typer.Option(min=0.01, max=1, help="Of requests that are to begin in time.")] = 0.95,
    within: Annotated[float, typer.Option(min=0, help="What is in time, in seconds.")] = 10,
    promise: Annotated[
        list[str] | None, typer.Option(metavar="MODEL", help="Never without a replica; may be given often.")
    ] = None,
    startup: Annotated[
        list[str] | None,
        typer.Option(metavar="MODEL=SECONDS", help="Until a replica serves; default: by its size."),
    ] = None,
    by_hour: Annotated[bool, typer.Option("--by-hour", help="Let minima follow the hours of the week.")] = False,
    usage: Annotated[Path | None, typer.Option(help="Read usage from this file, JSON or CSV.")] = None,
    save: Annotated[Path | None, typer.Option(help="Keep the usage that is read, for --usage.")] = None,
    values: Annotated[Path | None, typer.Option(help="Write values for the Helm chart.")] = None,
    simulate: Annotated[
        bool, typer.Option("--simulate", help="Plan from the first half, and try it on the second.")
    ] = False,
    week: Annotated[
        str | None, typer.Option(help="With --simulate: a made-up week, skewed, bursty or viral.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the made-up week that is planned from; the next is tried.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
    url: Url = None,
) -> None:
    """Plan each model's replicas from its usage."""
    for file in (values, save):
        _check_writable(file)
    goal = Goal(share, within)
    if week is not None:
        if not simulate or usage or save:
            raise CommandFailed("--week makes usage up: give it with --simulate, and without --usage and --save")
        pools, known, tried = _made_up(week, seed, gpus)
    else:
        settings = load_settings()
        used, running = (_read(usage), set[str]()) if usage else _ask(url, _seconds(since))
        if save:
            save.write_text(json.dumps(list(used.rows())), encoding="utf-8")
        pools, known, tried = _recorded(used, running, settings, promise or [], _startups(startup or []), gpus)
        if simulate:
            known, tried = _halves(known)
    made = plan(pools, known.arrivals, goal, gpus, known.begin, known.end, by_hours=by_hour)
    results = compare(made, tried) if simulate else []
    if values:
        values.write_text(report.values(made), encoding="utf-8")
        print(f"written: {values}", file=sys.stderr)
    if as_json:
        found = report.as_json(made) | ({"simulation": report.results_json(results)} if simulate else {})
        print(json.dumps(found, indent=2))
        return
    _show(made)
    if simulate:
        print()
        _show_results(report.results_json(results))


def _check_writable(file: Path | None) -> None:
    """Now, and not once all is computed."""
    if file is None:
        return
    if not file.absolute().parent.is_dir():
        raise CommandFailed(f"{file}: cannot be written: there is no folder {file.absolute().parent}")
    if file.is_dir():
        raise CommandFailed(f"{file}: cannot be written: it is a folder")


def _made_up(week: str, seed: int, gpus: int) -> tuple[dict[str, Pool], Week, Week]:
    """A week to plan from, and the next to try it on. That a model goes viral, nobody had known."""
    kind = next((name for name in workload.WEEKS if name == week), None)
    if kind is None:
        raise CommandFailed(f"--week should be one of {', '.join(workload.WEEKS)}, got {week!r}")
    pools = workload.fleet()
    known = workload.generate("skewed" if kind == "viral" else kind, seed)
    tried = workload.generate(kind, seed + 1)
    made = [Week(pools=pools, arrivals=each, begin=0, end=WEEK, gpus=gpus) for each in (known, tried)]
    return pools, made[0], made[1]


def _recorded(
    found: Usage,
    running: set[str],
    settings: Settings,
    promise: list[str],
    startups: dict[str, float],
    gpus: int,
) -> tuple[dict[str, Pool], Week, Week]:
    """The pools of models that were used, are promised or have workers, and what came to them."""
    if not found:
        raise CommandFailed("there is no usage in that time to plan from. See: crofai usage")
    catalog = load_catalog(settings.models_file)
    tiers = load_tiers(settings.tiers_file, catalog.models)
    promised = {_find(catalog, name) for name in promise}
    given = {_find(catalog, name): seconds for name, seconds in startups.items()}
    whole, unplanned = recorded(found, running, catalog, tiers, gpus, promise=promised, startups=given)
    for name in unplanned:
        print(f"crofai: warning: {name} was used, and is no model of the catalogue: not planned", file=sys.stderr)
    return dict(whole.pools), whole, whole


def _halves(whole: Week) -> tuple[Week, Week]:
    middle = (whole.begin + whole.end) / 2
    return _part(whole, whole.begin, middle), _part(whole, middle, whole.end)


def _part(whole: Week, begin: float, end: float) -> Week:
    parts = {}
    for model, (times, services) in whole.arrivals.items():
        inside = [number for number, time in enumerate(times) if begin <= time < end]
        parts[model] = Arrivals([times[number] for number in inside], [services[number] for number in inside])
    return Week(pools=whole.pools, arrivals=parts, begin=begin, end=end, gpus=whole.gpus)


def _ask(url: str | None, seconds: float) -> tuple[Usage, set[str]]:
    """All jobs admitted so lately, of all accounts, from the server's ledger; and the models that have workers."""
    since = time.time() - seconds
    first = datetime.fromtimestamp(since, UTC).strftime("%Y-%m-%d")
    found = Usage()
    with connect(url) as admin:
        for page in admin.pages("/v1/usage/jobs", **{"from": first, "account": "all"}):
            found.add(row for row in page if row["created"] >= since)
        return found, _running(admin) if found else set()


def _running(admin: Admin) -> set[str]:
    """The models that have workers."""
    try:
        pools = admin.get("/v1/admin/pools")["data"]
    except CommandFailed as error:
        print(f"crofai: warning: which models have workers is not known: {error}", file=sys.stderr)
        return set()
    return {pool["model"] for pool in pools if any(pool["workers"].values())}


def _read(file: Path) -> Usage:
    """A list of jobs, or an answer of /v1/usage/jobs; or a table with such columns."""
    found = Usage()
    try:
        text = file.read_text(encoding="utf-8-sig")  # as spreadsheets write it
    except (OSError, UnicodeDecodeError) as error:
        raise CommandFailed(f"{file}: cannot be read: {getattr(error, 'strerror', None) or error}") from None
    try:
        if text.lstrip()[:1] in ("[", "{"):
            rows: Any = json.loads(text)
            rows = rows["data"] if isinstance(rows, dict) else rows
        else:
            head = text.partition("\n")[0]
            rows = list(csv.DictReader(io.StringIO(text), delimiter=max(",;\t", key=head.count)))
        if not all(isinstance(row, dict) for row in rows):
            raise ValueError
    except (ValueError, KeyError, TypeError, csv.Error):
        raise CommandFailed(
            f"{file}: should be a JSON list of jobs, or CSV, each with model, {', '.join(TIMES)}"
        ) from None
    try:
        found.add(rows)
    except UsageError as error:
        raise CommandFailed(f"{file}: {error}") from None
    return found


def _seconds(text: str) -> float:
    if (seconds := parse_since(text, MOST_DAYS)) is None:
        raise CommandFailed(f"--since should be such as 36h, 7d or 4w, and at most {MOST_DAYS}d, got {text!r}")
    return seconds


def _startups(given: list[str]) -> dict[str, float]:
    found = {}
    for text in given:
        name, _, seconds = text.partition("=")
        if not re.fullmatch(r"[0-9]{1,5}(\.[0-9]+)?", seconds):
            raise CommandFailed(f"--startup should be such as llama3=90, in seconds, got {text!r}")
        found[name] = float(seconds)
    return found


def _find(catalog: Catalog, name: str) -> str:
    try:
        return catalog.find(name).id
    except ModelNotFound as error:
        raise CommandFailed(str(error)) from None


def _show(made: Plan) -> None:
    tables.show(
        ("model", "GPUs each", "requests", "min", "max", "factor", "why"),
        (
            [
                each.pool.model,
                str(each.pool.gpus),
                f"{each.requests:,}",
                str(each.scaling.least),
                str(each.scaling.most),
                f"{each.factor:.2f}",
                report.why(each),
            ]
            for each in made.models
        ),
    )
    late, count = sum(each.late for each in made.models), sum(each.requests for each in made.models)
    share = 1 - late / count if count else 1.0
    print(
        f"{report.most_held(made)} of {made.gpus} GPUs are held at least, in the busiest hour; maxima overlap. "
        f"With this, {share:.1%} of what came would have begun within {made.goal.wait:g} s (goal: "
        f"{made.goal.share:.1%}), for {sum(each.gpu_hours for each in made.models):,.0f} GPU-hours."
    )


def _show_results(results: list[dict[str, Any]]) -> None:
    tables.show(
        ("policy", "in time", "p50", "p95", "p99", "GPU-hours", "to hindsight", "to prompt hindsight"),
        (
            [
                each["policy"],
                f"{each['share_in_time']:.1%}",
                *(
                    "never" if each["waits"][name] is None else f"{each['waits'][name]:g} s"
                    for name in ("p50", "p95", "p99")
                ),
                f"{each['gpu_hours']:,.0f}",
                f"{each['to_hindsight']:.2f}",
                f"{each['to_prompt_hindsight']:.2f}",
            ]
            for each in results
        ),
    )
