"""`python -m tosmooth`: the command line without the installed script."""

from tosmooth.cli import main

main()
