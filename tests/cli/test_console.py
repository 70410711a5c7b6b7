"""Progress: a bar on a terminal, a few plain lines elsewhere, notes in both."""

import io

import pytest
from rich.console import Console

from brainjax.commands.console import Reporter
from brainjax.sweep import Progress


def told(*, terminal, steps=100):
    out = io.StringIO()
    with Reporter(console=Console(file=out, force_terminal=terminal, width=90, color_system=None)) as reporter:
        reporter.expect("a part", steps)
        for done in range(steps + 1):
            reporter(Progress(done, steps, "a part", "block [3f2a] is damaged" if done == 50 else None))
        reporter(Progress(steps, steps, "a part"))
    return out.getvalue(), reporter


def test_elsewhere_about_ten_plain_lines():
    text, reporter = told(terminal=False)
    lines = text.splitlines()
    assert lines[0] == "a part: 0 of 100 runs"
    assert lines[-1] == "a part: 100 of 100 runs"
    assert "note: block [3f2a] is damaged" in lines
    assert len(lines) == 12
    assert reporter.done == {"a part": 100}


def test_on_a_terminal_a_bar():
    text, _ = told(terminal=True)
    assert "100/100" in text
    assert "block [3f2a] is damaged" in text
    assert "a part: 100 of 100" not in text


@pytest.mark.parametrize("terminal", [True, False])
def test_nothing_to_do(terminal):
    text, reporter = told(terminal=terminal, steps=0)
    assert reporter.done == {"a part": 0}
    assert text
