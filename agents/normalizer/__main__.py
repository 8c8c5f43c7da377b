"""``python -m agents.normalizer``: the normalizer worker; ``agents``, ``tables``: Faust's other commands."""

import sys

from agents.normalizer.app import new_app
from fleet.lane.worker import main

main(new_app, sys.argv[1:])
