"""`python -m smbd_uring` and the console script: hands over to the command line.

Knows: where the command line starts.  Must not know: any command.
"""

import sys

from smbd_uring.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
