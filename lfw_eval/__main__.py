"""The command lfw-eval, as `python -m lfw_eval`."""

from lfw_eval.cli.main import main

main()
