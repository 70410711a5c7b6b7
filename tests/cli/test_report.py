"""The report: one page that holds everything, escapes what it shows, and says what is damaged or missing."""

import base64
import html.parser
import json
import subprocess
import sys

import numpy as np
import pytest

from brainjax import claims, cli, folder, report

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
NASTY = "<script>alert(\"x\")</script> & 'quotes'"


class Page(html.parser.HTMLParser):
    """Tags, their attributes and the visible text of a page; checks that tags close."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.text, self.open = [], "", []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def write_run(path, statement="It grows."):
    path.mkdir(parents=True)
    samples = np.random.default_rng(0).normal(1.0, 1.0, 20)
    made = [
        claims.greater("up", statement, NASTY, samples, detail=NASTY),
        claims.greater("down", "It falls.", "Fig. 2", -samples),
        claims.greater("level", "Unclear.", "Fig. 3", samples, than=samples.mean()),
    ]
    (path / folder.CLAIMS).write_text(claims.to_json(made), encoding="utf-8")
    (path / folder.RESULTS).write_bytes(b"results")
    (path / "figure.png").write_bytes(PNG)
    folder.write_json(path / folder.CONFIG, {"config": {"name": NASTY, "rate": float("nan"), "shape": (1, 2)}})
    files = {name: folder.digest(path / name) for name in (folder.RESULTS, folder.CLAIMS, "figure.png")}
    about = {"docstring": f"{NASTY}\n\nMore.", "paper": "someone2020", "runs": 40, "diverged_runs": 3, "files": files}
    folder.write_json(path / folder.PROVENANCE, about)
    return path


def page_of(root):
    said = report.write_report(root)
    assert said.endswith("report.html")
    return Page((root / "report.html").read_text(encoding="utf-8"))


def test_the_page_shows_everything_and_needs_nothing_else(tmp_path):
    write_run(tmp_path / "subject" / "one")
    page = page_of(tmp_path)
    for expected in (
        "subject/one",
        "It grows.",
        "20 seeds",
        "someone2020",
        "40 runs",
        "3 diverged",
        "More.",
        '"rate": "nan"',
    ):
        assert expected in page.text
    assert "1 holds, 1 fails, 1 inconclusive" in page.text
    assert "missing" not in page.text
    assert "damaged" not in page.text
    sources = [attrs[key] for _, attrs in page.tags for key in ("src", "href") if key in attrs]
    assert base64.b64encode(PNG).decode() in "".join(sources)
    assert all(source.startswith(("data:image/png;base64,", "#")) for source in sources)
    assert not {"script", "link", "iframe"} & {tag for tag, _ in page.tags}
    assert [tag for tag, _ in page.tags].count("details") == 3


def test_all_text_is_escaped(tmp_path):
    write_run(tmp_path / "<b>one", statement=NASTY)
    page = page_of(tmp_path)
    assert page.text.count(NASTY) >= 4
    assert "b" not in {tag for tag, _ in page.tags}


def test_verdicts_differ_in_more_than_colour(tmp_path):
    write_run(tmp_path / "one")
    page = page_of(tmp_path)
    for mark in ("✓ holds", "✗ FAILS", "? inconclusive"):
        assert mark in page.text
    classes = {attrs.get("class") for tag, attrs in page.tags if tag == "span"}
    assert classes == {"holds", "fails", "inconclusive"}


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda run: (run / folder.CLAIMS).write_text("{"), "claims.json is damaged"),
        (lambda run: (run / folder.CLAIMS).write_bytes(b"\xff\xfe"), "claims.json is damaged"),
        (lambda run: (run / folder.CLAIMS).unlink(), "claims.json is missing"),
        (lambda run: (run / folder.CONFIG).write_text("[" * 100000), "config.json is damaged"),
        (lambda run: (run / folder.PROVENANCE).write_text("3"), None),
        (lambda run: (run / folder.PROVENANCE).write_text("nonsense"), "provenance.json is damaged"),
        (lambda run: (run / folder.RESULTS).unlink(), "results.nc is missing"),
        (lambda run: (run / folder.RESULTS).write_bytes(b"other"), "results.nc differs from what this run wrote"),
        (lambda run: (run / "figure.png").write_bytes(PNG[:30]), "figure.png is damaged"),
        (lambda run: (run / "figure.png").unlink(), "figure.png is missing"),
        (lambda run: ((run / "figure.png").unlink(), (run / "figure.png").mkdir()), "figure.png cannot be read"),
    ],
)
def test_what_is_damaged_is_said_and_the_rest_is_shown(damage, says, tmp_path):
    damage(write_run(tmp_path / "bad"))
    write_run(tmp_path / "good")
    page = page_of(tmp_path)
    assert says is None or page.text.count(says) == 1
    assert {"bad", "good"} <= {text.strip() for text in page.text.split("\n")} | set(page.text.split())
    assert ("incomplete" in page.text) == (says is not None)


def test_a_run_in_progress_is_shown_and_its_store_is_not_a_run(tmp_path):
    for store in ("one/chunks", "two/chunks/part"):
        (tmp_path / store).mkdir(parents=True)
        (tmp_path / store / "plan.json").write_text("{}")
        (tmp_path / store / "results.nc").write_bytes(b"not a run's results")
    assert [path.name for path in report.find_runs(tmp_path)] == ["one", "two"]
    assert "the run has not finished" in page_of(tmp_path).text


def test_one_run_alone_and_another_place_for_the_page(tmp_path):
    run = write_run(tmp_path / "one")
    out = tmp_path / "pages" / "page.html"
    assert report.write_report(run, out) == f"1 run in {out}"
    assert "<h2>one</h2>" in out.read_text(encoding="utf-8")


def test_without_runs_there_is_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["report"]) == 1
    assert capsys.readouterr().err.count("\n") == 1
    (tmp_path / "runs").mkdir()
    assert cli.main(["report"]) == 1
    assert "no runs in 'runs'" in capsys.readouterr().err


def test_the_command_needs_neither_jax_nor_xarray(tmp_path):
    write_run(tmp_path / "runs" / "one")
    code = (
        "import sys; from brainjax.cli import main; status = main(['report']);"
        "print([m for m in ('jax', 'xarray', 'matplotlib') if m in sys.modules]); sys.exit(status)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["1 run in runs/report.html", "[]"]


def test_json_documents_are_strict(tmp_path):
    folder.write_json(tmp_path / "x.json", {"a": np.float32(1.5), "b": (float("inf"), None, True), 3: object})
    document = json.loads((tmp_path / "x.json").read_text(), parse_constant=lambda c: pytest.fail(c))
    assert document == {"a": 1.5, "b": ["inf", None, True], "3": "<class 'object'>"}


def test_a_file_is_there_whole_or_not_at_all(tmp_path):
    path = tmp_path / "file.txt"
    path.write_text("before")

    def fail():
        with folder.aside(path) as draft:
            draft.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert path.read_text() == "before"
    assert [p.name for p in tmp_path.iterdir()] == ["file.txt"]
