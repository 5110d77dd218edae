"""Stack, data, then one chain of DAG runs after another, and what became of it."""

from __future__ import annotations

import hashlib
import shlex
from datetime import timedelta
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from analytics.errors import AnalyticsError, SourceError
from analytics.interval import Interval
from analytics.job.chains import Step, run_chains
from analytics.job.outcome import outcome_table
from analytics.job.problems import Problem, noted, raise_if_any, show
from analytics.settings import Settings, load_settings
from analytics.stack import AirflowClient, Endpoints, up
from analytics.stack.addresses import logins
from analytics.tenants import registry

DAGS = ("ingest", "features", "transform", "score", "monitor", "train")


def run_sample(settings: Settings, console: Console) -> None:
    """Three simulated tenants: their history, a normal day, a day on which one drifts."""
    from analytics.simulate.config import SAMPLE_DAYS, SAMPLE_START

    addresses = _start(settings, console)
    _simulate(settings, console)
    drift_day = SAMPLE_START + timedelta(days=SAMPLE_DAYS - 1)
    normal_day = drift_day - timedelta(days=1)
    steps = (
        Step(f"history {SAMPLE_START} to {normal_day}", Interval.of(SAMPLE_START, normal_day)),
        Step(f"a normal day, {normal_day}", Interval.day(normal_day)),
        Step(f"a day of drift, {drift_day}", Interval.day(drift_day)),
    )
    _close(settings, console, addresses, run_chains(settings, console, steps))


def run_on(settings: Settings, folder: Path, console: Console) -> None:
    """A folder of real exports: each subfolder is a tenant, the interval is the data's own.

    A tenant whose exports cannot be read is named at the end; the others run.
    """
    settings = settings_for(settings, folder)
    settings.var.mkdir(parents=True, exist_ok=True)
    problems: list[Problem] = []
    steps = _steps_of(settings, folder, console, problems)
    if not steps:
        show(console, problems)
        raise SourceError(f"nothing in {folder} can be loaded; the lines above say what to do")
    addresses = _start(settings, console)
    problems += run_chains(settings, console, steps)
    _close(settings, console, addresses, problems)


def _steps_of(
    settings: Settings, folder: Path, console: Console, problems: list[Problem]
) -> list[Step]:
    """A chain for each tenant, after saying what was recognised."""
    from analytics.sources.sniff import extent, tenants_from_folder

    steps = []
    refused: dict[str, str] = {}
    tenants = tenants_from_folder(folder, settings.analytics_tenants_file, refused)
    problems += [Problem((name,), "not loaded", why) for name, why in refused.items()]
    for tenant in tenants.values():
        found = ", ".join(f"{s.name} ({s.format})" for s in tenant.sources)
        console.print(f"[bold]{tenant.id}[/]: {found}")
        with noted(problems, "not loaded", tenant.id):
            span = extent(settings, tenant)
            title = f"{tenant.id}, {span.start:%Y-%m-%d} to {span.end:%Y-%m-%d}"
            steps.append(Step(title, span, (tenant.id,)))
    for problem in problems:
        console.print(f"[red]✗[/] [bold]{escape(problem.who)}[/]: {problem.brief}, see the end")
    loose = sorted(p.name for p in folder.iterdir() if p.is_file() and not p.name.startswith("."))
    if loose:
        named = escape(", ".join(loose[:5]))
        console.print(f"left alone, as in no tenant's folder: {named}", soft_wrap=True)
    return steps


def settings_for(settings: Settings, folder: Path) -> Settings:
    """A world of its own for that folder: own lake, warehouse and tenants file under var/."""
    if not folder.is_dir():
        raise AnalyticsError(f"{folder} is no folder; give one whose subfolders are tenants")
    mark = hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:8]
    var = settings.var / f"data-{mark}"
    return settings.model_copy(
        update={"analytics_var_dir": var, "analytics_tenants_file": var / "tenants.yaml"}
    )


def _start(settings: Settings, console: Console) -> Endpoints:
    with console.status("starting the stack") as status:
        addresses = up(settings, lambda step, word: status.update(f"stack: {step} {word}"))
    console.print("[green]✓[/] the stack is up")
    with AirflowClient(settings) as client, console.status("Airflow reads the DAGs"):
        client.wait_for_dags(*DAGS, seconds=180)
    return addresses


def _simulate(settings: Settings, console: Console) -> None:
    """The sample's landing files and tables; left alone when they are there already."""
    from analytics.simulate.config import SimulationConfig
    from analytics.simulate.operational import dsn_of
    from analytics.simulate.run import simulate
    from analytics.simulate.side_by_side import workers_for

    config = SimulationConfig()
    stamp, wanted = settings.landing / ".simulated.json", config.model_dump_json()
    if stamp.exists() and stamp.read_text() == wanted:
        console.print("[green]✓[/] the simulated data is there already")
        return
    dsns = {
        p.id: dsn_of(settings.secrets, p.dsn_secret, p.id) for p in config.tenants if p.dsn_secret
    }
    days = TimeElapsedColumn()
    with Progress(TextColumn("simulating {task.description}"), BarColumn(), days) as bars:
        bar = bars.add_task("", total=config.days * len(config.tenants))
        report = simulate(
            config,
            settings.landing,
            settings.var / "truth",
            dsns,
            lambda tenant_id, day: bars.update(bar, advance=1, description=f"{tenant_id}, {day}"),
            workers=workers_for(len(config.tenants)),
        )
    stamp.write_text(wanted)
    console.print(f"[green]✓[/] simulated {report.plays:,} plays of {len(config.tenants)} tenants")


def _close(
    settings: Settings, console: Console, addresses: Endpoints, problems: list[Problem]
) -> None:
    """Reports, the closing table, the problems, the addresses.

    Raises AnalyticsError at the very end when there is a problem.
    """
    from analytics.report.cli import make_report, write_page
    from analytics.warehouse import dbt

    known = {tenant_id for problem in problems for tenant_id in problem.tenants}
    with console.status("writing reports and the dbt docs"):
        with noted(problems, "the dbt docs are not written"):
            dbt.docs(settings)
        for tenant_id in registry(settings):
            # A tenant that did not come through has no report for a reason already named.
            with noted([] if tenant_id in known else problems, "no report", tenant_id):
                write_page(settings, make_report(settings, tenant_id))
    with noted(problems, "no closing table"):
        console.print(outcome_table(settings))
    show(console, problems)
    first = next(iter(registry(settings)))
    there = _named(settings)
    where = {
        **logins(settings, addresses),
        "dbt docs": f"{addresses.docs_url}/dbt/",
        "data docs": f"{addresses.docs_url}/data-docs/",
        "reports": f"{addresses.docs_url}/reports/",
        "SQL": f'{there}analytics sql --tenant {first} "table serve.daily_listening limit 5"',
        "stop": f"{there}make down",
    }
    console.print()
    for name, text in where.items():
        console.print(f"{name:<10} {text}", highlight=False, soft_wrap=True)
    raise_if_any(problems)


def _named(settings: Settings) -> str:
    """What a command needs before it to mean this world and not the usual one."""
    usual = load_settings()
    names = ("analytics_var_dir", "analytics_tenants_file")
    return "".join(
        f"{name.upper()}={shlex.quote(str(getattr(settings, name)))} "
        for name in names
        if getattr(settings, name) != getattr(usual, name)
    )
