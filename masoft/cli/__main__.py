"""``python -m masoft.cli``, for where the ``masoft`` script is not on the path."""

from masoft.cli import main

main()
