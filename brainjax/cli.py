"""The command ``brainjax``: reads the command line, imports what the command needs, and turns errors into one line.

Nothing heavy is imported here, so that ``--help`` and ``list`` answer at once.
"""

import difflib
import os
import sys
import traceback
from collections.abc import Iterable, Sequence
from pathlib import Path

from brainjax.commands import Options, UsageError

COMMANDS = {
    "list": ("", "every experiment: its claim, paper and cost"),
    "plan": ("EXPERIMENT [options]", "what a run would do and need; executes nothing"),
    "run": ("EXPERIMENT [options]", "run or continue an experiment; writes results, figure and claims"),
    "report": ("[RUNS_DIR] [--out=FILE]", "one static page of everything under RUNS_DIR (default: runs)"),
    "download": ("NAME [--folder=DIR]", "fetch a data set and check it: fashion_mnist, mnist or cifar10"),
}

# flag: (commands, how it is written, what it does)
FLAGS = {
    "config": (("plan", "run"), "--config.FIELD=VALUE", "set a field of the config (a swept field is pinned)"),
    "sweep": (("plan", "run"), "--sweep.FIELD=A,B,C", "vary a field over values, or over START:STOP:N (evenly spaced)"),
    "seeds": (("plan", "run"), "--seeds=N", "number of seeds"),
    "variant": (("plan", "run"), "--variant=NAME", "a variant of the config, e.g. quick"),
    "out": (("run", "report"), "--out=PATH", "where to write (default: runs/EXPERIMENT[-VARIANT])"),
    "shard": (("plan", "run"), "--shard=I/N", "do only share I of N (0 <= I < N); all shares write to one folder"),
    "strict": (("run",), "--strict", "exit with status 1 when a claim fails"),
    "precision": (("plan", "run"), "--precision=P", "float32 or float64 instead of the experiment's own"),
    "workers": (("plan", "run"), "--workers=N", "threads or processes (default: one per core)"),
    "width": (("plan", "run"), "--width=N", "runs per chunk (default: chosen from the program's memory)"),
    "folder": (("download",), "--folder=DIR", "where to keep it (default: the user's data folder)"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit status.

    0: done; 1: an expected error, or a failed claim with ``--strict``; 2: the command was written wrongly; 130:
    interrupted. An unexpected error keeps its traceback.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    folder: list[Path] = []  # of the experiment, once it is known
    try:
        text = _help(words)
        if text is not None:
            print(text)
            return 0
        return _dispatch(parse(words), folder)
    except UsageError as error:
        return _say(error, 2)
    except BrokenPipeError:  # the reader of our output has gone, e.g. `brainjax list | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return _say("interrupted; the same command continues", 130)
    except Exception as error:
        if isinstance(error, OSError) or (isinstance(error, ValueError) and _ours(error, folder)):
            return _say(_readable(error), 1)
        _print_traceback(error)
        return 1


def parse(words: Sequence[str]) -> Options:
    """Reads a command line, without knowing the experiment.

    Raises:
        UsageError: One line with the nearest name.
    """
    from absl import flags

    command, *rest = words
    if command not in COMMANDS:
        raise UsageError(f"unknown command {command!r}{_nearest(command, COMMANDS, 'commands')}")
    known = [name for name, (commands, _, _) in FLAGS.items() if command in commands]
    own, config, sweep, free = [], [], [], []
    for word in rest:
        name, equals, value = word.lstrip("-").partition("=")
        group, dot, field = name.partition(".")
        if not word.startswith("-"):
            free.append(word)
        elif dot and group in ("config", "sweep") and group in known:
            if not equals or not field:
                raise UsageError(f"{word}: write --{group}.FIELD=VALUE")
            (config if group == "config" else sweep).append((field, value))
        elif name in known and name not in ("config", "sweep"):
            if not equals and name != "strict":
                raise UsageError(f"{word}: write {FLAGS[name][1]}")
            own.append(word)
        else:
            shown = [FLAGS[flag][1].split("=")[0] for flag in known]
            raise UsageError(f"unknown flag {word!r} of {command}{_nearest('--' + name, shown, 'flags')}")
    if len(free) > (0 if command == "list" else 1):
        raise UsageError(f"leftover words: {' '.join(free[0 if command == 'list' else 1 :])}")
    if command in ("plan", "run") and not free:
        raise UsageError(f"{command} needs an experiment: a name from `brainjax list`, or a file")
    if command == "download" and not free:
        raise UsageError(f"download needs the name of a data set: {COMMANDS['download'][1].rpartition(': ')[2]}")

    values = flags.FlagValues()
    for name in ("variant", "out", "shard", "workers", "width", "folder"):
        flags.DEFINE_string(name, None, "", flag_values=values)
    flags.DEFINE_integer("seeds", None, "", lower_bound=1, flag_values=values)
    flags.DEFINE_bool("strict", False, "", flag_values=values)
    flags.DEFINE_enum("precision", "", ["", "float32", "float64"], "", flag_values=values)
    try:
        values(["brainjax", *own])
    except flags.Error as error:
        raise UsageError(_one_line(error).removeprefix("flag ")) from None
    return Options(
        command=command,
        target=free[0] if free else "",
        config=tuple(config),
        sweep=tuple(sweep),
        variant=values.variant or "",
        seeds=values.seeds,
        out=values.out or "",
        folder=values.folder or "",
        shard=_shard(values.shard),
        strict=values.strict,
        precision=values.precision,
        workers=None if values.workers in (None, "auto") else _whole("workers", values.workers, 1),
        width="auto" if values.width in (None, "auto") else _whole("width", values.width, 4),
    )


def _dispatch(options: Options, folder: list[Path]) -> int:
    if options.command == "list":
        return _list()
    if options.command == "report":
        from brainjax.report import write_report

        print(write_report(options.target or "runs", options.out or None))
        return 0
    if options.command == "download":
        return _download(options)
    from brainjax import catalog

    try:
        entry = catalog.find(options.target)
    except ValueError as error:
        raise UsageError(str(error)) from None
    folder.append(entry.path.resolve().parent)
    from brainjax.commands import work

    return work.plan(entry, options) if options.command == "plan" else work.run(entry, options)


def _download(options: Options) -> int:
    from brainjax import data

    if options.target not in data.DATASETS:
        raise UsageError(f"unknown data set {options.target!r}{_nearest(options.target, data.DATASETS, 'data sets')}")
    try:
        place = data.download(options.target, folder=options.folder or None, note=print)
    except ImportError as error:
        return _say(error, 1)
    print(f"{data.DATASETS[options.target].title} is in {place}, every file checked")
    return 0


def _list() -> int:
    from brainjax import catalog

    found = catalog.entries()
    if not found:
        print("no experiments: there is no folder ./experiments here")
        return 0
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.HORIZONTALS, show_lines=True)
    for heading in ("experiment", "claim", "paper", "cost"):
        table.add_column(heading, no_wrap=heading == "experiment", overflow="fold")
    for entry in found:
        claim = f"cannot be read: {entry.error}" if entry.error else entry.claim
        table.add_row(*(Text(cell) for cell in (entry.name, claim, entry.paper, entry.cost)))
    console = Console()
    console.print(table) if console.is_terminal else Console(width=120).print(table)
    return 0


def _help(words: list[str]) -> str | None:
    """The help that a command line asks for, or None."""
    from brainjax import __version__

    if words and words[0] in ("--version", "version"):
        return f"brainjax {__version__}"
    asked = not words or words[0] in ("help", "-h", "--help") or any(w in ("-h", "--help") for w in words)
    if not asked:
        return None
    command = next((word for word in words if word in COMMANDS), None)
    if command is None:
        lines = ["brainjax: published learning experiments as one command each, swept over seeds and settings", ""]
        lines += [f"  brainjax {f'{name} {usage}'.strip():34} {what}" for name, (usage, what) in COMMANDS.items()]
        lines += ["", "EXPERIMENT is a name from `brainjax list` or the path of such a file.", "", "options of run:"]
        command = "run"
    else:
        usage, what = COMMANDS[command]
        lines = [f"brainjax {command} {usage}".rstrip(), "", f"  {what}", ""]
    lines += [f"  {how:24} {what}" for commands, how, what in FLAGS.values() if command in commands]
    return "\n".join(lines).rstrip()


def _ours(error: ValueError, folder: list[Path]) -> bool:
    """Whether an error was raised by brainjax or by a file beside the experiment, and so is meant for the user."""
    frames = traceback.extract_tb(error.__traceback__)
    raised = Path(frames[-1].filename).resolve() if frames else Path()
    places = [Path(__file__).resolve().parent, *folder]
    return any(raised.is_relative_to(p) and "site-packages" not in raised.relative_to(p).parts for p in places)


def _print_traceback(error: BaseException) -> None:
    """The traceback without JAX's own frames, except the one that raised."""
    shown = traceback.TracebackException.from_exception(error)
    inside = f"{os.sep}site-packages{os.sep}jax{os.sep}"
    link: traceback.TracebackException | None = shown
    while link is not None:
        kept = [f for i, f in enumerate(link.stack) if inside not in f.filename or i == len(link.stack) - 1]
        link.stack = traceback.StackSummary.from_list(kept)
        link = link.__cause__ or link.__context__
    print("".join(shown.format()), end="", file=sys.stderr)


def _say(message: object, status: int) -> int:
    print(f"brainjax: {_one_line(message)}", file=sys.stderr)
    return status


def _readable(error: Exception) -> str:
    """An error's message; for one of the operating system the file comes first and no number."""
    if isinstance(error, OSError) and error.filename and error.strerror:
        return f"{error.filename}: {error.strerror}"
    return str(getattr(error, "strerror", None) or error)


def _one_line(text: object) -> str:
    return " ".join(str(text).split())


def _nearest(name: str, known: Iterable[str], what: str) -> str:
    known = list(known)
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    if near:
        return f"; did you mean {near[0]!r}?"
    return f"; {what}: {', '.join(known)}" if known else "; it takes none"


def _whole(flag: str, text: str, least: int) -> int:
    try:
        number = int(text)
    except ValueError:
        number = least - 1
    if number < least:
        raise UsageError(f"--{flag}={text}: needs a whole number of at least {least}, or auto")
    return number


def _shard(text: str | None) -> tuple[int, int]:
    if text is None:
        return 0, 1
    share, slash, shares = text.partition("/")
    if not (slash and share.isdecimal() and shares.isdecimal() and int(share) < int(shares)):
        raise UsageError(f"--shard={text}: write I/N with 0 <= I < N, e.g. 0/4 up to 3/4")
    return int(share), int(shares)


if __name__ == "__main__":
    sys.exit(main())
