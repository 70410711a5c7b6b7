"""The record of one claim, and how it is written, read and shown."""

import dataclasses
import json
import math
from collections.abc import Iterable, Sequence
from typing import Any

HOLDS, FAILS, INCONCLUSIVE = "holds", "fails", "inconclusive"
VERDICTS = (HOLDS, FAILS, INCONCLUSIVE)
MARKS = {HOLDS: "✓ holds", FAILS: "✗ FAILS", INCONCLUSIVE: "? inconclusive"}


@dataclasses.dataclass(frozen=True)
class Claim:
    """One statement and its verdict.

    Attributes:
        name: Short identifier, e.g. ``early_deficit_skews``.
        statement: What is claimed, in one sentence.
        source: Where the paper makes it, e.g. ``Figure 2, left``.
        expected: The sign, order or interval that makes it hold, as text.
        mean: The measured value.
        low: Lower end of the interval of the measured value.
        high: Upper end of it.
        n: Number of seeds the interval is over; 0 for a deterministic value.
        verdict: ``holds``, ``fails`` or ``inconclusive``.
        unit: Unit of the measured value, as text.
        detail: What else the reader must know: the steps of an order, why nothing can be said.
        excluded: Number of samples that were not finite and are left out of the interval.
    """

    name: str
    statement: str
    source: str
    expected: str
    mean: float
    low: float
    high: float
    n: int
    verdict: str
    unit: str = ""
    detail: str = ""
    excluded: int = 0

    def __post_init__(self) -> None:
        if self.verdict not in VERDICTS:
            raise ValueError(f"verdict must be one of {', '.join(VERDICTS)}; got {self.verdict!r}")
        if not self.name or not self.statement:
            raise ValueError("a claim needs a name and a statement")

    @property
    def measured(self) -> str:
        """The measured value, its interval and the number of seeds, as text."""
        unit = f" {self.unit}" if self.unit else ""
        if math.isnan(self.mean):
            value = "nothing"
        elif math.isnan(self.low):
            value = f"{self.mean:.4g}{unit}"
        else:
            value = f"{self.mean:.4g} [{self.low:.4g}, {self.high:.4g}]{unit}"
        seeds = "deterministic" if self.n == 0 and not self.excluded else f"{self.n} seeds"
        excluded = f", {self.excluded} not finite" if self.excluded else ""
        return f"{value} ({seeds}{excluded})"


def to_json(claims: Iterable[Claim]) -> str:
    """Claims as strict JSON; numbers that are not finite become the strings ``nan``, ``inf`` and ``-inf``."""

    def plain(x: Any) -> Any:
        return str(x) if isinstance(x, float) and not math.isfinite(x) else x

    records = [{k: plain(v) for k, v in dataclasses.asdict(claim).items()} for claim in claims]
    return json.dumps({"claims": records}, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def from_json(text: str) -> list[Claim]:
    """Reads what `to_json` wrote.

    Raises:
        ValueError: If the text is not such a document.
    """
    try:
        records = json.loads(text)["claims"]
        for record in records:
            record.update({k: float(record[k]) for k in ("mean", "low", "high")})
        return [Claim(**record) for record in records]
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"not a claims file: {type(error).__name__}: {error}") from None


def table(claims: Sequence[Claim], *, title: str | None = None) -> Any:
    """Claims as a `rich.table.Table`; the verdict reads without colour."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    styles = {HOLDS: "green", FAILS: "bold red", INCONCLUSIVE: "yellow"}
    out = Table(title=title, box=box.HORIZONTALS, title_justify="left", expand=False, show_lines=True)
    for heading, ratio in (("verdict", None), ("claim", 5), ("expected", 2), ("measured", 4), ("source", 2)):
        out.add_column(heading, ratio=ratio, no_wrap=heading == "verdict", overflow="fold")
    for c in claims:
        statement = Text(c.statement)
        if c.detail:
            statement.append(f"\n{c.detail}", style="dim")
        cells = [Text(MARKS[c.verdict], style=styles[c.verdict]), statement]
        out.add_row(*cells, Text(c.expected), Text(c.measured), Text(c.source))
    return out


def render(claims: Sequence[Claim], *, title: str | None = None, width: int = 120) -> str:
    """The table of `table` as plain text of at most ``width`` columns."""
    import io

    from rich.console import Console

    console = Console(file=io.StringIO(), width=width, no_color=True, force_terminal=False)
    console.print(table(claims, title=title))
    return console.file.getvalue()  # type: ignore[attr-defined]
