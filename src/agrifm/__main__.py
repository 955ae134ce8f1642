"""`python -m agrifm` is `agrifm`."""

import sys

from agrifm.cli import main

sys.exit(main())
