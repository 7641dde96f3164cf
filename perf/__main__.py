"""`python -m perf ...` in a checkout: the same as `smbd-uring bench ...`."""

import sys

from smbd_uring.perf.command_line import main

sys.exit(main(sys.argv[1:]))
