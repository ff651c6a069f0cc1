"""The command line as another version of the software would have it: other protocol numbers, nothing else.

Called with the protocol, the minor version and the arguments of a command.
"""

import importlib
import sys

from safeborders_fed.study import wire

if __name__ == "__main__":
    wire.PROTOCOL, wire.MINOR = int(sys.argv[1]), int(sys.argv[2])  # type: ignore[misc]
    main = importlib.import_module("safeborders_fed.cli.main")  # after that: modules copy the numbers
    sys.exit(main.run(sys.argv[3:]))
