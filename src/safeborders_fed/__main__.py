"""``python -m safeborders_fed``: the program ``safeborders``."""

from safeborders_fed.cli.main import main

main()
