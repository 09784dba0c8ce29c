"""Run the exporter: ``python -m asd_export``."""

import sys

from asd_export.cli import main

sys.exit(main())
