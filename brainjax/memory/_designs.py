r"""Conditioning designs in the notation of the field, read from strings.

A design is one string per group. Phases are separated by ``|``, the trial types of a phase by ``/``:

=========================  =======================================================================================
``40A+``                   40 trials of cue A with the outcome; ``40A-`` without
``40AB+``                  a compound of A and B
``A?`` or ``1#A``          a test trial: the response is read and nothing is learned
``10A+ / 10B-``            ten A+ trials, then ten B- trials
``10(A+ / B-)``            the two in alternation, ten times
``!10A+ / 10B-``           in random order: ``!`` shuffles the phase, or the bracket, that it begins
``10(!2A+ / 2B-)``         random order within each block of four
``X: 10A+ / 5_``           in context X: a cue that is present on all trials of the phase
``100_``                   100 trials of nothing (time passes; only the context is there)
``A(0.5)+``                cue A at half its intensity
``A+2``                    an outcome of magnitude 2
``A(food)`` ``A(food=2)``  named outcomes; several may follow one another. ``+`` is short for ``(US)``
``{tone}+`` ``A'+``        cues with longer names (single capital letters, with primes, need no braces)
=========================  =======================================================================================

Blanks do not matter. "40A+ / 40AB+ | B?" and "40A+ | 40AB+ | B?" are the same sequence of trials with another count of
phases.
"""

import re
from collections.abc import Mapping
from typing import NamedTuple, NoReturn

__all__ = ["Design", "Phase", "TrialType", "parse_design"]

_NUMBER = re.compile(r"\d+(?:\.\d*)?|\.\d+")
_NAME = re.compile(r"[A-Za-z]\w*")
_CUE = re.compile(r"[A-Z]'*")
_CONTEXT = re.compile(r"\s*([A-Za-z]\w*'*)\s*:")
DEFAULT_OUTCOME = "US"


class TrialType(NamedTuple):
    """What happens on a trial."""

    cues: tuple[tuple[str, float], ...]
    """Names and intensities, the context's included."""
    outcomes: tuple[tuple[str, float], ...]
    """Names and magnitudes; an outcome that is left out does not occur."""
    test: bool
    """Whether the response is only read, without learning."""


class Phase(NamedTuple):
    """A phase of one group: its trials in the order written."""

    text: str
    trials: tuple[TrialType, ...]
    blocks: tuple[int, ...]
    """Of each trial: trials that are to be shuffled with one another share a number; the numbers do not decrease."""


class Design(NamedTuple):
    """A conditioning experiment: groups of animals, each with a sequence of phases."""

    groups: tuple[str, ...]
    phases: tuple[tuple[Phase, ...], ...]
    """Of each group."""
    cues: tuple[str, ...]
    """All cues and contexts, in alphabetical order."""
    outcomes: tuple[str, ...]
    """All outcomes, in alphabetical order."""

    @property
    def random(self) -> bool:
        """Whether the order of any trials is to be drawn."""
        return any(len(set(phase.blocks)) < len(phase.blocks) for group in self.phases for phase in group)


def parse_design(design: str | Mapping[str, str]) -> Design:
    """Read a design from its strings; the notation is at the top of this module.

    Args:
        design: one string, or a string per group by the group's name: ``{"blocked": "40A+ | 40AB+ | B?", "control":
            "40C+ | 40AB+ | B?"}``. A single group is named ``group``.

    Returns:
        The design, whose groups may differ in phases and in length.

    Raises:
        ValueError: if a string is ill-formed: the message shows it with a caret under the place; or if there is no
            group.
    """
    strings = {"group": design} if isinstance(design, str) else dict(design)
    if not strings:
        raise ValueError("design must have at least one group, got none")
    phases = tuple(_Reader(name, text).design() for name, text in strings.items())
    trials = [trial for group in phases for phase in group for trial in phase.trials]
    cues = {name for trial in trials for name, _ in trial.cues}
    outcomes = {name for trial in trials for name, _ in trial.outcomes} or {DEFAULT_OUTCOME}
    if not cues:
        raise ValueError(f"design must have at least one cue, got {strings!r}")
    return Design(tuple(strings), phases, tuple(sorted(cues)), tuple(sorted(outcomes)))


class _Reader:
    """Recursive descent over one group's string."""

    def __init__(self, group: str, text: str):
        self.group, self.text, self.at = group, text, 0
        self.block, self.context = 0, ()

    def design(self) -> tuple[Phase, ...]:
        phases = [self.phase()]
        while self.take("|"):
            phases.append(self.phase())
        if self.peek():
            self.fail("expected '/' before another trial type, '|' before another phase, or the end")
        return tuple(phases)

    def phase(self) -> Phase:
        self.peek()
        start, self.context = self.at, ()
        named = _CONTEXT.match(self.text, self.at)
        if named:
            self.at = named.end()
            self.context = ((named[1], 1.0),)
        trials, blocks = self.sequence(shuffled=False)
        return Phase(self.text[start : self.at].strip(), tuple(trials), tuple(blocks))

    def sequence(self, shuffled: bool) -> tuple[list[TrialType], list[int]]:
        """Trial types between slashes; ``shuffled`` if a sequence around this one is shuffled as a whole."""
        own = self.take("!")
        if own and not shuffled:
            self.block += 1
        inside = shuffled or own
        trials, blocks = self.item(inside)
        while self.take("/"):
            more, theirs = self.item(inside)
            trials += more
            blocks += theirs
        return trials, blocks

    def item(self, shuffled: bool) -> tuple[list[TrialType], list[int]]:
        count, before = self.count(), self.block
        if self.take("("):
            trials, blocks = self.sequence(shuffled)
            if not self.take(")"):
                self.fail("expected ')' or '/'")
        else:
            trials = [self.trial()]
            self.block += 0 if shuffled else 1
            blocks = [self.block]
        width = self.block - before  # every repetition is shuffled on its own
        self.block += width * (count - 1)
        return trials * count, [block + width * repeat for repeat in range(count) for block in blocks]

    def count(self) -> int:
        self.peek()
        found = _NUMBER.match(self.text, self.at)
        if not found:
            return 1
        if not found[0].isdigit() or int(found[0]) < 1:
            self.fail("expected a whole number of trials, 1 or more")
        self.at = found.end()
        return int(found[0])

    def trial(self) -> TrialType:
        test = self.take("#")
        cues = []
        if not self.take("_"):
            cues.append(self.cue(first=True))
            while self.peek() == "{" or _CUE.match(self.text, self.at):
                cues.append(self.cue())
        names = [name for name, _ in (*cues, *self.context)]
        if len(set(names)) < len(names):
            self.at -= 1
            self.fail("expected each cue (and the context) once")
        place = self.at
        outcomes, stated = self.outcomes()
        if self.peek() == "?" and test:
            self.fail("expected no '?' where '#' already marks a test trial")
        test = self.take("?") or test
        if test and stated:
            self.at = place
            self.peek()
            self.fail("expected no outcome on a test trial")
        if cues and not test and not stated:
            self.fail("expected '+', '-', '(outcome)' or '?'")
        return TrialType((*cues, *self.context), outcomes, test)

    def cue(self, first: bool = False) -> tuple[str, float]:
        if self.take("{"):
            name = self.name("a cue's name")
            self.close("}")
        else:
            self.peek()
            found = _CUE.match(self.text, self.at)
            if not found:
                self.fail(
                    "expected a cue (a capital letter or a name in braces), '_' or '('" if first else "expected a cue"
                )
            name, self.at = found[0], found.end()
        before = self.at
        if self.take("(") and (self.peek().isdigit() or self.peek() == "."):
            intensity = self.real("an intensity")
            if intensity == 0:
                self.at -= 1
                self.fail("expected an intensity above 0")
            self.close(")")
            return name, intensity
        self.at = before
        return name, 1.0

    def outcomes(self) -> tuple[tuple[tuple[str, float], ...], bool]:
        """What happens, and whether it was said."""
        if self.take("-"):
            return (), True
        if self.take("+"):
            self.peek()
            given = _NUMBER.match(self.text, self.at)
            return ((DEFAULT_OUTCOME, self.real("a magnitude") if given else 1.0),), True
        found = []
        while self.take("("):
            name, size = self.name("an outcome's name"), 1.0
            if self.take("="):
                sign = -1.0 if self.take("-") else 1.0
                size = sign * self.real("a magnitude")
            self.close(")")
            if name in [other for other, _ in found]:
                self.at -= 1
                self.fail("expected each outcome once")
            found.append((name, size))
        return tuple(found), bool(found)

    # ------------------------------------------------------------------------------------------------- single tokens
    def peek(self) -> str:
        while self.at < len(self.text) and self.text[self.at].isspace():
            self.at += 1
        return self.text[self.at : self.at + 1]

    def take(self, token: str) -> bool:
        if self.peek() != token:
            return False
        self.at += 1
        return True

    def close(self, token: str) -> None:
        if not self.take(token):
            self.fail(f"expected {token!r}")

    def name(self, what: str) -> str:
        self.peek()
        found = _NAME.match(self.text, self.at)
        if not found:
            self.fail(f"expected {what}")
        self.at = found.end()
        return found[0]

    def real(self, what: str) -> float:
        self.peek()
        found = _NUMBER.match(self.text, self.at)
        if not found:
            self.fail(f"expected {what}")
        self.at = found.end()
        return float(found[0])

    def fail(self, expected: str) -> NoReturn:
        given = repr(self.text[self.at]) if self.at < len(self.text) else "the end"
        raise ValueError(
            f"design of group {self.group!r}: {expected}, got {given} at position {self.at}\n"
            f"  {self.text}\n  {' ' * self.at}^"
        )
