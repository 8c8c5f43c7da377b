"""``python -m agents.router [worker|agents|tables|…]``: the router worker, or another of Faust's commands."""

import sys

from agents.router.app import new_app
from fleet.lane.worker import main

main(new_app, sys.argv[1:])
