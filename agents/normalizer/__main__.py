"""``python -m agents.normalizer [worker|agents|tables|…]``: the normalizer worker, or another of Faust's commands."""

import sys

from agents.normalizer.app import new_app
from fleet.lane.worker import main

main(new_app, sys.argv[1:])
