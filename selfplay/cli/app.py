"""Defines the commands. Each parses its arguments, calls one function and exits with its code.

The commands import what they need, so that `selfplay --help` does not load torch. typer is imported here, in
`arguments.py`, and in the files of further commands, `publish_commands.py` and `wandb_commands.py`.
"""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from selfplay import __version__
from selfplay.cli.arguments import CONFIG, Commands, Config, Debug, Json, Overrides, Run
from selfplay.cli.file_trouble import UNWRITABLE, file_trouble
from selfplay.cli.publish_commands import commands as publish_commands
from selfplay.cli.wandb_commands import commands as wandb_commands

app = typer.Typer(
    name="selfplay",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Self-improvement of language models: a model trains on its own verified work, round by round, and every round is "
    "measured for collapse.\n\nStart with: selfplay init NAME",
)

engine = typer.Typer(no_args_is_help=True, help="Engines that a run starts and feeds.")
app.add_typer(engine, name="engine")


def start() -> None:
    """Runs the command line. An error of the package exits with its own code and without a traceback."""
    from selfplay.errors import SelfplayError

    try:
        app()
    except SelfplayError as error:
        if "--debug" in sys.argv:
            raise
        print(f"selfplay: {error}" if "\n" not in str(error) else str(error), file=sys.stderr)
        sys.exit(error.exit_code)
    except OSError as error:
        if "--debug" in sys.argv or error.errno is None:
            raise
        print(f"selfplay: {file_trouble(error)}", file=sys.stderr)
        sys.exit(1)
    except Exception as error:
        if "--debug" in sys.argv or not (found := UNWRITABLE.search(str(error))):
            raise
        print(
            f"selfplay: a file cannot be written ({found[0]}); free disk space or fix the permissions, then rerun the same command",
            file=sys.stderr,
        )
        sys.exit(1)
    except KeyboardInterrupt:
        print(
            "selfplay: stopped at once; rerun the same command to resume, only the unfinished chunk is redone",
            file=sys.stderr,
        )
        sys.exit(130)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"selfplay {__version__}")
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    pass


@app.command()
def init(
    name: Annotated[Path, typer.Argument(help="Folder to write; must be new or empty.", show_default=False)] = Path(),
    start: Annotated[
        str,
        typer.Option(
            "--from",
            help="What it starts from: own (tasks and a verifier to replace by yours), quickstart, gsm8k, mbpp, judge, gym, or another "
            "file of configs/.",
        ),
    ] = "own",
    debug: Debug = False,
) -> None:
    """Write a folder that runs as it stands.

    It holds config.yaml, tasks, a verifier and a README with the next steps.
    """
    from selfplay.cli.init import init_command

    init_command(name, start)


@app.command()
def run(
    config: Config = CONFIG,
    overrides: Overrides = None,
    name: Annotated[str | None, typer.Option(help="Name of the run and of its folder.", show_default=False)] = None,
    runs_dir: Annotated[Path | None, typer.Option(help="Folder of all runs.", show_default=False)] = None,
    seeds: Annotated[
        str | None, typer.Option(help="Run it once per seed, such as 0,1,2, then compare.", show_default=False)
    ] = None,
    debug: Debug = False,
) -> None:
    """Run a self-improvement loop, or resume it.

    The same command resumes.

    Exit codes: 0 done, 1 failure, 2 usage or config, 3 outage (run the same command again to resume), 4 stopped by the
    gate, 130 interrupted. The first Ctrl-C stops once the current work is saved, the second at once.
    """
    from selfplay.cli.run import RunDisplay
    from selfplay.config import load_config
    from selfplay.loop import run as run_loop

    path, overrides = _given(config, overrides)
    given = _named(overrides, name, runs_dir)
    if seeds is not None:
        from selfplay.cli.seeds import run_seeds

        run_seeds(path, given, seeds)
        return
    loaded = load_config(path, given)
    with RunDisplay(loaded) as display:
        finished = run_loop(loaded, listener=display.hear, on_commit=display.committed)
    display.finished(finished)


@app.command()
def validate(
    config: Config = CONFIG,
    overrides: Overrides = None,
    tasks: Annotated[bool, typer.Option("--tasks/--no-tasks", help="Check all rows of the task files.")] = True,
    debug: Debug = False,
) -> None:
    """List all faults of a configuration and of its tasks.

    They are listed as file:line:col, in about a second and without torch.
    """
    from selfplay.cli.validate import validate_command

    validate_command(*_given(config, overrides), tasks)


@app.command()
def check(config: Config = CONFIG, overrides: Overrides = None, as_json: Json = False, debug: Debug = False) -> None:
    """Check each task against its own verifier. Gold answers pass and near misses fail; no model is loaded."""
    from selfplay.cli.check import check_command

    raise typer.Exit(check_command(*_given(config, overrides), as_json))


@app.command()
def plan(
    config: Config = CONFIG,
    overrides: Overrides = None,
    device: Annotated[str, typer.Option(help="cpu, or the name of a GPU such as h100.")] = "cpu",
    ranks: Annotated[int, typer.Option(min=1, help="Processes, one per GPU.")] = 1,
    hourly: Annotated[float, typer.Option(min=0, help="Price of an hour of all ranks.")] = 0.0,
    fsdp2: Annotated[
        bool, typer.Option("--fsdp2", help="Ranks that share the weights in training (accelerate_fsdp2.yaml).")
    ] = False,
    measure: Annotated[
        bool, typer.Option("--measure", help="Try this machine with the student, for a minute.")
    ] = False,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Work out what a run will take before it starts. Requests, tokens, time, memory, disk and money, by phase."""
    from selfplay.cli.plan import plan_command

    path, given = _given(config, overrides)
    plan_command(path, given, device=device, ranks=ranks, hourly=hourly, measure=measure, fsdp2=fsdp2, as_json=as_json)


@app.command()
def report(run: Run, debug: Debug = False) -> None:
    """Write report.html and report.json of a run again. Prints the path."""
    from selfplay.cli.results import report_command

    report_command(run)


@app.command()
def compare(
    runs: Annotated[
        list[Path], typer.Argument(help="Run folders. With one, its rounds are compared.", show_default=False)
    ],
    out: Annotated[Path, typer.Option(help="HTML file to write.")] = Path("compare.html"),
    debug: Debug = False,
) -> None:
    """Compare runs, or the seeds of one setting, on one page. Prints a table of their rounds as well."""
    from selfplay.cli.compare import compare_command

    compare_command(runs, out)


@app.command()
def status(run: Run, as_json: Json = False, debug: Debug = False) -> None:
    """Show the state of a run, and why it stopped. Lists its rounds, and the finished phases of the current one."""
    from selfplay.cli.results import status_command

    status_command(run, as_json)


@app.command()
def runs(
    folder: Annotated[Path, typer.Argument(help="Folder of all runs.")] = Path("runs"),
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """List the runs of a folder. Rounds done, dev accuracy, alarm, state, last change."""
    from selfplay.cli.runs import runs_command

    runs_command(folder, as_json)


@app.command()
def fork(
    run: Run,
    round: Annotated[str, typer.Argument(help="best, last, or a round number.", show_default=False)],
    overrides: Overrides = None,
    name: Annotated[
        str | None, typer.Option(help="Name of the new run; by default RUN-rN.", show_default=False)
    ] = None,
    debug: Debug = False,
) -> None:
    """Begin a new run from a round of an old one.

    It may have other settings. Prints the command that continues it.

    The rounds up to ROUND are copied with their weights and data. Keys of the student and eval.seed cannot change.

    Try: selfplay fork runs/quickstart 3 generate.temperature=1.0
    """
    from selfplay.cli.runs import fork_command

    fork_command(run, round, overrides or [], name)


app.add_typer(wandb_commands)


@app.command()
def traces(
    run: Run,
    round: Annotated[
        int | None, typer.Option(help="Number of the round; by default the last.", show_default=False)
    ] = None,
    outcome: Annotated[
        str | None, typer.Option(help="Only this outcome: pass, fail, invalid, abstain or error.", show_default=False)
    ] = None,
    decision: Annotated[
        str | None, typer.Option(help="Only accepted or only dropped attempts.", show_default=False)
    ] = None,
    reason: Annotated[
        str | None, typer.Option(help="Only this reason of the decision, such as over_cap.", show_default=False)
    ] = None,
    task: Annotated[
        str | None, typer.Option(help="Only tasks whose id begins with this text.", show_default=False)
    ] = None,
    origin: Annotated[str | None, typer.Option(help="Only student, teacher or rollout.", show_default=False)] = None,
    limit: Annotated[int, typer.Option(help="Number of traces to show.")] = 10,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Show the traces of a round that match all filters. Prompt, reply, verdicts and decision of each."""
    from selfplay.cli.results import traces_command

    wanted = {"outcome": outcome, "decision": decision, "reason": reason, "origin": origin}
    traces_command(run, round, wanted, task, limit, as_json)


@app.command()
def view(
    run: Run,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port on 127.0.0.1; 0 takes a free one.")] = 8765,
    debug: Debug = False,
) -> None:
    """Browse all traces of a run on a page of this machine. Filter, search, and compare the attempts at one task."""
    from selfplay.loop.run_view import open_run
    from selfplay.view import serve

    serve(open_run(run).path, port, lambda address: print(f"{address}  (Ctrl-C ends it)", flush=True))


app.add_typer(publish_commands)


@app.command()
def collapse(
    file: Annotated[
        Path, typer.Argument(help="JSONL (or .gz) or parquet file with one text per row.", show_default=False)
    ],
    round_field: Annotated[str, typer.Option(help="Field with the round number.")] = "round",
    text_field: Annotated[str, typer.Option(help="Field with the text.")] = "text",
    reference: Annotated[
        str | None,
        typer.Option(
            help="A round number, or a file of reference texts; by default the first round.", show_default=False
        ),
    ] = None,
    group_field: Annotated[str | None, typer.Option(help="Field that names the task.", show_default=False)] = None,
    correct_field: Annotated[
        str | None, typer.Option(help="Field that says whether the text is right.", show_default=False)
    ] = None,
    as_json: Json = False,
    html: Annotated[Path | None, typer.Option(help="HTML file to write.", show_default=False)] = None,
    rules: Annotated[Path | None, typer.Option(help="JSON file with your own alarm rules.", show_default=False)] = None,
    debug: Debug = False,
) -> None:
    """Compute collapse metrics of any file of texts by round. Alarms as well; it needs no run."""
    from selfplay.cli.collapse import collapse as measure

    code = measure(
        file,
        round_field=round_field,
        text_field=text_field,
        reference=reference,
        group_field=group_field,
        correct_field=correct_field,
        as_json=as_json,
        html=html,
        rules=rules,
    )
    raise typer.Exit(code)


@app.command()
def synthesize(
    config: Annotated[
        Path,
        typer.Argument(
            help="A YAML file, as `selfplay init NAME --from synthesize_data` writes it.", show_default=False
        ),
    ],
    overrides: Overrides = None,
    out: Annotated[Path, typer.Option(help="Folder to write.")] = Path("synthesized"),
    debug: Debug = False,
) -> None:
    """Synthesize a data set of tasks and solutions.

    From seed tasks, without any training.

    The config sets the seed tasks (tasks), the methods (methods: [procedural, evolve, rare, textbook, variants,
    backtranslate, instruct, traces]) and the teacher that they ask; procedural needs none. Every task is tested with
    its own verifier, and every refused reply is kept with its reason.

    Writes data.parquet (train on rows whose decision is accepted), refused.jsonl, summary.json and the card README.md. The
    same command resumes: paid replies are cached in replies.db. Try: selfplay init data --from synthesize_data

    Exit codes: 0 done, 1 no row was accepted, 2 usage or config, 3 outage (run the same command again to resume).
    """
    from selfplay.cli.synthesize import synthesize_command

    raise typer.Exit(synthesize_command(config, overrides or [], out))


@app.command()
def doctor(as_json: Json = False, debug: Debug = False) -> None:
    """Show versions, devices, sandbox tier and W&B mode. The exit code is 1 if something is wrong."""
    from selfplay.cli.doctor import doctor as examine

    raise typer.Exit(examine(as_json))


@engine.command("check")
def engine_check(config: Config = CONFIG, overrides: Overrides = None, debug: Debug = False) -> None:
    """Try the engines of a configuration in about a minute: start, samples, token ids, other weights and back, stop."""
    from selfplay.cli.engine import engine_check_command

    engine_check_command(*_given(config, overrides))


def _given(config: str, overrides: list[str] | None) -> tuple[Path, list[str]]:
    """The configuration and the overrides; where the first argument is an override, the configuration is config.yaml."""
    if "=" in config and not Path(config).exists():
        return Path(CONFIG), [config, *(overrides or [])]
    return Path(config), overrides or []


def _named(overrides: list[str] | None, name: str | None, runs_dir: Path | None) -> list[str]:
    """The overrides, followed by those of the options; later ones take precedence."""
    quoted = {"name": name, "runs_dir": runs_dir}  # quoted, since a run may be named 7 or no
    return [*(overrides or []), *(f"{key}={json.dumps(str(value))}" for key, value in quoted.items() if value)]
