"""``python -m asd_agent``."""

from asd_agent.cli import main

raise SystemExit(main())
