"""``python -m brainjax`` is the command ``brainjax``."""

import sys

from brainjax.cli import main

if __name__ == "__main__":
    sys.exit(main())
