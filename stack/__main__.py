"""Run the commands of the embedded stack: `python -m stack up`."""

from stack.cli import app

app(prog_name="python -m stack")
