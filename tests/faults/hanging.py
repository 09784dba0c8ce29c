"""An agent whose new bundle hangs: ``python -m faults.hanging CONFIGURATION``."""

import sys

from faults.lives import serve_hanging

if __name__ == "__main__":
    serve_hanging(sys.argv[1])
