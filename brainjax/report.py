"""``brainjax report``: one static page of every run in a folder, with nothing outside it.

Needs neither JAX nor xarray: it reads the files that runs leave. What is missing or damaged is said on the page.
"""

import base64
import hashlib
import html
import json
from pathlib import Path
from typing import Any

from brainjax import claims as claims_
from brainjax import folder

_STYLE = """
:root { color-scheme: light; }
body { font: 15px/1.5 system-ui, sans-serif; color: #111; background: #fff; max-width: 60rem; margin: 2rem auto;
  padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.25rem; margin: 0 0 .2rem; }
section { border-top: 2px solid #111; padding-top: 1rem; margin-top: 2.5rem; }
img { display: block; max-width: 100%; height: auto; margin: 1rem 0; }
table { border-collapse: collapse; width: 100%; margin: 1rem 0; font-size: .9rem; }
th, td { text-align: left; vertical-align: top; padding: .35rem .6rem .35rem 0; border-bottom: 1px solid #bbb; }
th { border-bottom: 2px solid #111; }
td.verdict { white-space: nowrap; }
.holds, .fails, .inconclusive { padding: .05rem .45rem; border: 1.5px solid #111; border-radius: .2rem; }
.holds { background: #fff; } .fails { background: #111; color: #fff; font-weight: bold; }
.inconclusive { background: #ddd; border-style: dashed; }
.detail, .path { color: #444; font-size: .85rem; }
.problem { border-left: 4px solid #111; background: #eee; padding: .4rem .8rem; margin: .5rem 0; }
pre { background: #f4f4f4; padding: .6rem; overflow-x: auto; font-size: .8rem; white-space: pre-wrap;
  overflow-wrap: anywhere; }
summary { cursor: pointer; font-weight: 600; }
@media print {
  body { max-width: none; margin: 0; font-size: 10pt; }
  section { break-before: page; } section:first-of-type { break-before: auto; }
  img, tr { break-inside: avoid; }
  .holds, .fails, .inconclusive { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  details::details-content { content-visibility: visible; block-size: auto; }
}
"""


def write_report(runs: str | Path, out: str | Path | None = None) -> str:
    """Writes the page and returns one line that says where it is.

    Args:
        runs: Folder searched for runs.
        out: The page; by default ``report.html`` in that folder.

    Raises:
        ValueError: If there is no such folder, or no run in it.
        OSError: If the page cannot be written.
    """
    root = Path(runs)
    if not root.is_dir():
        raise ValueError(f"no folder {str(root)!r} with runs; `brainjax run EXPERIMENT` makes one")
    found = find_runs(root)
    if not found:
        raise ValueError(f"no runs in {str(root)!r}; `brainjax run EXPERIMENT` makes one")
    target = Path(out) if out is not None else root / "report.html"
    target.parent.mkdir(parents=True, exist_ok=True)
    with folder.aside(target) as draft:
        draft.write_text(page(root, found), encoding="utf-8")
    return f"{len(found)} run{'' if len(found) == 1 else 's'} in {target}"


def find_runs(root: Path) -> list[Path]:
    """Folders at or under ``root`` that a run has written to, in order."""
    marks = (folder.RESULTS, folder.CLAIMS, folder.CONFIG, folder.PROVENANCE)
    found = {path.parent for mark in marks for path in root.rglob(mark)}
    found |= {path.parent.parent for path in root.rglob("plan.json") if path.parent.name == folder.CHUNKS}
    found |= {path.parent.parent.parent for path in root.rglob("plan.json") if path.parents[1].name == folder.CHUNKS}
    inside = {path for path in found if folder.CHUNKS in path.relative_to(root).parts}
    return sorted(found - inside)


def page(root: Path, runs: list[Path]) -> str:
    """The whole page as HTML."""
    parts = [_Run(path, path.relative_to(root).as_posix()) for path in runs]
    rows = "".join(
        f'<tr><td><a href="#{part.anchor}">{_text(part.title)}</a></td><td>{_text(part.headline)}</td>'
        f"<td>{_text(part.tally)}</td></tr>"
        for part in parts
    )
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>brainjax report</title><style>{_STYLE}</style></head><body>\n"
        "<h1>Experiments and their claims</h1>\n"
        f"<table><tr><th>run</th><th>claim</th><th>verdicts</th></tr>{rows}</table>\n"
        + "\n".join(part.section() for part in parts)
        + "\n</body></html>\n"
    )


class _Run:
    """One run's folder, read once; what is wrong with it is collected on the way."""

    def __init__(self, path: Path, title: str) -> None:
        self.path, self.problems = path, []
        self.title = title if title != "." else path.resolve().name
        self.anchor = "run-" + hashlib.sha256(self.title.encode()).hexdigest()[:12]
        self.provenance = self._json(folder.PROVENANCE)
        self.config = self._json(folder.CONFIG)
        self.claims = self._claims()
        self.figure = self._figure()
        if not (path / folder.RESULTS).is_file():
            self.problems.append(f"{folder.RESULTS} is missing: the run has not finished, or it was moved")
        self._compare()
        docstring = self._said("docstring")
        self.docstring = docstring if isinstance(docstring, str) else ""
        self.headline = self.docstring.splitlines()[0] if self.docstring else ""

    @property
    def tally(self) -> str:
        """How many claims hold, fail, and are inconclusive."""
        verdicts = [claim.verdict for claim in self.claims]
        counts = [f"{verdicts.count(v)} {v}" for v in claims_.MARKS if v in verdicts]
        return ", ".join([*counts, *(["incomplete"] if self.problems else [])]) or "no claims"

    def section(self) -> str:
        """The run as HTML."""
        out = [f'<section id="{self.anchor}"><h2>{_text(self.title)}</h2>']
        if self.headline:
            out.append(f"<p>{_text(self.headline)}</p>")
        facts = [
            f"paper {paper}" if (paper := self._said("paper")) else "",
            f"{runs} runs" if (runs := self._said("runs")) else "",
            f"{lost} diverged (not finite)" if (lost := self._said("diverged_runs")) else "",
            f"finished {when}" if (when := self._said("finished")) else "",
        ]
        out.append(f'<p class="path">{_text(" · ".join(fact for fact in facts if fact))}</p>')
        out += [f'<p class="problem">{_text(problem)}</p>' for problem in self.problems]
        if self.figure:
            picture = base64.b64encode(self.figure).decode()
            out.append(f'<img alt="figure of {_text(self.title)}" src="data:image/png;base64,{picture}">')
        if self.claims:
            out.append(_claims_table(self.claims))
        if self.docstring:
            out.append(_details("about the experiment", self.docstring))
        for name, document in (("resolved config", self.config), ("provenance", self.provenance)):
            if document is not None:
                shown = document
                if isinstance(document, dict):
                    shown = {k: v for k, v in document.items() if k != "docstring"}
                out.append(_details(name, json.dumps(shown, indent=2, ensure_ascii=False)))
        return "\n".join([*out, "</section>"])

    def _said(self, key: str) -> Any:
        return self.provenance.get(key) if isinstance(self.provenance, dict) else None

    def _bytes(self, name: str) -> bytes | None:
        try:
            return (self.path / name).read_bytes()
        except FileNotFoundError:
            self.problems.append(f"{name} is missing")
        except OSError as error:
            self.problems.append(f"{name} cannot be read: {error.strerror}")
        return None

    def _json(self, name: str) -> Any:
        content = self._bytes(name)
        try:
            return None if content is None else json.loads(content)
        except (ValueError, RecursionError):
            self.problems.append(f"{name} is damaged: not JSON")
            return None

    def _claims(self) -> list[claims_.Claim]:
        content = self._bytes(folder.CLAIMS)
        try:
            return [] if content is None else claims_.from_json(content.decode())
        except ValueError:  # also of decoding
            self.problems.append(f"{folder.CLAIMS} is damaged: not a claims file")
            return []

    def _figure(self) -> bytes | None:
        name = folder.FIGURES[0]
        content = self._bytes(name)
        if content is not None and not (content.startswith(b"\x89PNG\r\n\x1a\n") and b"IEND" in content[-16:]):
            self.problems.append(f"{name} is damaged: not a whole PNG picture")
            return None
        return content

    def _compare(self) -> None:
        """Says which files are no longer those that the provenance speaks of."""
        written = self._said("files")
        for name, digest in written.items() if isinstance(written, dict) else ():
            path = self.path / str(name)
            if any(problem.startswith(f"{name} ") for problem in self.problems):
                continue
            try:
                if path.is_file() and folder.digest(path) != digest:
                    self.problems.append(f"{name} differs from what this run wrote: altered, or of another run")
            except OSError as error:
                self.problems.append(f"{name} cannot be read: {error.strerror}")


def _claims_table(claims: list[claims_.Claim]) -> str:
    rows = []
    for claim in claims:
        detail = f'<div class="detail">{_text(claim.detail)}</div>' if claim.detail else ""
        rows.append(
            f'<tr><td class="verdict"><span class="{claim.verdict}">{claims_.MARKS[claim.verdict]}</span></td>'
            f"<td>{_text(claim.statement)}{detail}</td><td>{_text(claim.expected)}</td>"
            f"<td>{_text(claim.measured)}</td><td>{_text(claim.source)}</td></tr>"
        )
    head = "".join(f"<th>{name}</th>" for name in ("verdict", "claim", "expected", "measured", "source"))
    return f"<table><tr>{head}</tr>{''.join(rows)}</table>"


def _details(summary: str, text: str) -> str:
    return f"<details><summary>{_text(summary)}</summary><pre>{_text(text)}</pre></details>"


def _text(text: object) -> str:
    return html.escape(str(text))
