"""``python -m agents.aggregator [worker|agents|tables|…]``: the aggregator worker, or another of Faust's commands."""

import sys

from agents.aggregator.app import new_app
from fleet.lane.worker import main

main(new_app, sys.argv[1:])
