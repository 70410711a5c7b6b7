"""Which tests `make test` leaves to `make test-all` for their time, in one list: ``tests/left_to_test_all.txt``."""

from pathlib import Path

import pytest

LIST = Path(__file__).parent / "tests" / "left_to_test_all.txt"


def pytest_collection_modifyitems(config, items):
    """Mark the tests of the list as slow; refuse a name that no longer exists."""
    left = {line for line in LIST.read_text().splitlines() if line and not line.startswith("#")}
    found = {item.nodeid: item for item in items}
    for name in left & found.keys():
        found[name].add_marker(pytest.mark.slow)
    collected = {name.partition("::")[0] for name in found}
    whole = not any("::" in argument for argument in config.args)
    if whole and (gone := sorted(name for name in left - found.keys() if name.partition("::")[0] in collected)):
        raise pytest.UsageError(f"{LIST.name}: there is no test {gone[0]}")
