"""Asks a served model to drive the toolset and says what came of it: `python -m evaluator --help`."""
