"""``python -m agents.router``: the router worker; ``agents``, ``tables``: Faust's other commands."""

import sys

from agents.router.app import new_app
from fleet.lane.worker import main

main(new_app, sys.argv[1:])
