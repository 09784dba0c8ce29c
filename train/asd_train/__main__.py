"""Runs the command line as ``python -m asd_train``."""

from asd_train.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
