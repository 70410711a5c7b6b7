"""``brainjax plan`` and ``brainjax run``."""

import concurrent.futures
import dataclasses
import datetime
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from brainjax import catalog, folder
from brainjax.commands import Options
from brainjax.commands.backend import prepare
from brainjax.commands.console import Reporter

if TYPE_CHECKING:
    import xarray
    from matplotlib.figure import Figure
    from ml_collections import ConfigDict

    from brainjax.claims import Claim
    from brainjax.sweep import Axes, Plan, Progress


@dataclasses.dataclass(frozen=True)
class _Job:
    """An experiment with its settings, and the plan of each part, made in the background one after another."""

    experiment: catalog.Experiment
    config: "ConfigDict"
    parts: "dict[str, Axes]"
    begin: "Callable[[str], concurrent.futures.Future[Plan]]"
    coming: "dict[str, concurrent.futures.Future[Plan]]" = dataclasses.field(default_factory=dict)

    def plan_ahead(self) -> None:
        """Begins all plans. Tracing holds Python's lock, so the first part is better left alone until it runs."""
        for part in self.parts:
            if part not in self.coming:
                self.coming[part] = self.begin(part)

    def plan(self, part: str) -> "Plan":
        """The plan of a part; waits for it. A part that cannot be planned is reported as soon as that is known."""
        if part not in self.coming:
            self.coming[part] = self.begin(part)
        for future in self.coming.values():
            if future.done():
                future.result()
        return self.coming[part].result()

    @property
    def runs(self) -> int:
        """Number of runs of all parts."""
        return sum(axes.size for axes in self.parts.values())


def plan(entry: catalog.Entry, options: Options) -> int:
    """Prints what a run would do; executes nothing."""
    with concurrent.futures.ThreadPoolExecutor(1) as background:
        job = _planned(entry, options, Reporter(), background)
        job.plan_ahead()
        plans = [job.plan(part) for part in job.parts]
    print("\n\n".join(map(str, plans)))
    if len(plans) > 1:
        print(f"\ntogether      {job.runs} runs, {sum(each.compilations for each in plans)} compilations")
    return 0


def run(entry: catalog.Entry, options: Options) -> int:
    """Runs or continues an experiment and writes its folder; 1 when a claim fails and ``--strict`` asks for it."""
    out = Path(options.out) if options.out else _default_folder(entry, options)
    reporter = Reporter()
    background = concurrent.futures.ThreadPoolExecutor(1, thread_name_prefix="brainjax-plan")
    try:
        return _run(entry, options, out, reporter, background)
    except KeyboardInterrupt:
        done, total = sum(reporter.done.values()), sum(reporter.total.values())
        stored = f"at least {done} of {total} runs are stored in {out / folder.CHUNKS}" if total else "nothing was run"
        reporter.say(f"brainjax: interrupted; {stored}; the same command continues")
        return 130
    finally:
        background.shutdown(cancel_futures=True)


def _run(
    entry: catalog.Entry, options: Options, out: Path, reporter: Reporter, background: concurrent.futures.Executor
) -> int:
    start = time.monotonic()
    job = _planned(entry, options, reporter, background)
    with reporter:
        plans, results = _executed(job, out, reporter)
    total = job.runs
    if results is None:
        done, (share, shares) = sum(reporter.done.values()), options.shard
        print(f"share {share}/{shares} is done: {done} of {total} runs are stored in {out / folder.CHUNKS}")
        print("results, figure and claims are written by the share that finds all runs there")
        return 0
    claims, figure = _judged(job, results)
    seconds = time.monotonic() - start
    diverged = _diverged(results)
    _write(
        job,
        plans,
        out,
        results,
        figure,
        claims,
        {"runs": total, "seconds": round(seconds, 1), "diverged_runs": diverged},
    )
    _show(entry, out, claims)
    lost = f"; {diverged} of them diverged (not finite), kept as they are" if diverged else ""
    print(f"{total} runs in {seconds:.1f} s{lost}")
    return 1 if options.strict and any(claim.verdict == "fails" for claim in claims) else 0


def _planned(
    entry: catalog.Entry, options: Options, reporter: Reporter, background: concurrent.futures.Executor
) -> _Job:
    if entry.error:
        raise ValueError(f"{entry.path}: {entry.error}")
    precision = options.precision or entry.precision
    prepare(precision, reporter.note)
    experiment = catalog.load(entry)
    from brainjax.commands.settings import resolve
    from brainjax.sweep import make_plan

    config, parts = resolve(experiment, options, reporter.note)

    def begin(part: str) -> "concurrent.futures.Future[Plan]":
        return background.submit(
            make_plan,
            experiment.run,
            config,
            parts[part],
            dims=experiment.dims,
            check=experiment.check,
            precision=precision,
            width=options.width,  # type: ignore[arg-type]
            workers=options.workers,
            shard=options.shard,
            name=_name(entry, part),
        )

    return _Job(experiment, config, parts, begin)


def _name(entry: catalog.Entry, part: str) -> str:
    return f"{entry.name}: {part}" if part else entry.name


def _executed(
    job: _Job, out: Path, reporter: Reporter
) -> "tuple[dict[str, Plan], xarray.Dataset | xarray.DataTree | None]":
    """The plans and the results of all parts; no results when runs of other shares are missing."""
    from brainjax.sweep import execute, resumed

    for part, axes in job.parts.items():
        reporter.expect(_name(job.experiment.entry, part), axes.size)
    plans: dict[str, Plan] = {}
    found: dict[str, Any] = {}

    def report(progress: "Progress") -> None:
        reporter(progress)
        if progress.done:
            job.plan_ahead()

    for part in job.parts:
        plan = job.plan(part)
        if not plans:  # nothing is written before there is a plan
            out.mkdir(parents=True, exist_ok=True)
            folder.clean(out)
        plans[part] = resumed(plan, out / folder.CHUNKS / part)
        found[part] = execute(plans[part], store=out / folder.CHUNKS / part, progress=report)
    for part in [part for part, result in found.items() if result is None]:  # other shares may have ended meanwhile
        found[part] = execute(plans[part], store=out / folder.CHUNKS / part, progress=report)
    if any(result is None for result in found.values()):
        return plans, None
    if list(found) == [""]:
        return plans, found[""]
    import xarray

    return plans, xarray.DataTree.from_dict(found)


def _judged(job: _Job, results: Any) -> "tuple[list[Claim], Figure]":
    from matplotlib.figure import Figure

    from brainjax.claims import Claim

    path = job.experiment.entry.path
    claims = list(job.experiment.claims(results))
    wrong = next((claim for claim in claims if not isinstance(claim, Claim)), None)
    if wrong is not None:
        raise ValueError(f"{path}: claims must return a list of Claim; it holds a {type(wrong).__name__}")
    names = [claim.name for claim in claims]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"{path}: two claims have the name {twice[0]!r}")
    figure = job.experiment.figure(results)
    if not isinstance(figure, Figure):
        raise ValueError(f"{path}: figure must return a matplotlib Figure; got {type(figure).__name__}")
    return claims, figure


def _write(
    job: _Job,
    plans: "dict[str, Plan]",
    out: Path,
    results: Any,
    figure: Any,
    claims: "list[Claim]",
    measured: dict[str, Any],
) -> None:
    """Leaves the run's files; the provenance comes last and holds the checksums of the others."""
    from brainjax.claims import to_json
    from brainjax.plots import save
    from brainjax.sweep import provenance

    entry = job.experiment.entry
    with folder.aside(out / folder.RESULTS) as draft:
        results.to_netcdf(draft, engine="h5netcdf")
    for name in folder.FIGURES:
        with folder.aside(out / name) as draft:
            save(figure, draft)
    with folder.aside(out / folder.CLAIMS) as draft:
        draft.write_text(to_json(claims), encoding="utf-8")
    sweeps = {part: _described(axes) for part, axes in job.parts.items()}
    folder.write_json(
        out / folder.CONFIG,
        {"experiment": entry.name, "config": job.config.to_dict(), "sweep": sweeps.get("", sweeps)},
    )
    origins = {part: provenance(each) for part, each in plans.items()}
    written = (folder.RESULTS, *folder.FIGURES, folder.CLAIMS, folder.CONFIG)
    folder.write_json(
        out / folder.PROVENANCE,
        {
            "experiment": entry.name,
            "paper": entry.paper,
            "docstring": entry.docstring,
            "experiment_sha256": folder.digest(entry.path),
            "finished": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            **measured,
            **(origins[""] if list(origins) == [""] else _merged(origins)),
            "files": {name: folder.digest(out / name) for name in written},
        },
    )


def _merged(origins: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    """Provenance of several parts: what they share once, the rest by part."""
    first = next(iter(origins.values()))
    shared = {key: value for key, value in first.items() if all(o.get(key) == value for o in origins.values())}
    own = {part: {k: v for k, v in origin.items() if k not in shared} for part, origin in origins.items()}
    return {**shared, "parts": own}


def _described(axes: "Axes") -> dict[str, Any]:
    return {
        axis.name: {field.name: {"kind": field.kind, "values": list(field.values)} for field in axis.fields}
        for axis in axes
    }


def _diverged(results: Any) -> int:
    """Number of runs whose output is not finite, as the engine counted them."""
    nodes = results.subtree if hasattr(results, "subtree") else [results]
    return int(sum(int(node.attrs.get("diverged_runs", 0)) for node in nodes))


def _show(entry: catalog.Entry, out: Path, claims: "list[Claim]") -> None:
    from brainjax.claims import table

    console = Console()
    console = console if console.is_terminal else Console(width=120)
    if claims:
        console.print(table(claims, title=f"claims of {entry.name}"))
    else:
        print(f"{entry.name} makes no claims")
    print(f"figure   {out / folder.FIGURES[0]}\nresults  {out / folder.RESULTS}\nall      {out}")


def _default_folder(entry: catalog.Entry, options: Options) -> Path:
    return Path("runs") / (f"{entry.name}-{options.variant}" if options.variant else entry.name)
