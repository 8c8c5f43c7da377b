"""``python -m agents.aggregator``: the aggregator worker; ``agents``, ``tables``: Faust's other commands."""

import sys

from agents.aggregator.app import new_app
from fleet.lane.worker import main

main(new_app, sys.argv[1:])
