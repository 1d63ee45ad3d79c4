"""Lets ``python -m slide_rs`` be the command line."""

import sys

from slide_rs.cli import main

if __name__ == "__main__":
    sys.exit(main())
