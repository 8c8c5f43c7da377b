"""Exactly-once agents on Apache Kafka: Faust owns membership, the lane owns position, state and transactions.

An agent is one pure function over a chunk of records and the state of its partition. What it yields,
outputs, rows and dead letters, becomes visible together with the source offsets, or not at all::

    from fleet.lane import Chunk, Emit, LaneApp, Put, State, main


    def new_app() -> LaneApp:
        app = LaneApp("spending", web_port=7001)
        totals = app.lane_table("totals", help="Cents spent per customer")

        @app.lane_agent(name="spending", sources=["shop.orders"], tables=[totals])
        def total(chunk: Chunk, state: State):
            for record in chunk:
                customer = record.key.decode()
                spent = state.get("totals", customer, 0) + int(record.value)
                yield Put("totals", customer, spent)
                if spent > 100_000:
                    yield Emit("shop.large-customers", record.key, str(spent).encode(), cause=record)

        return app


    if __name__ == "__main__":
        main(new_app)  # python spending.py worker

The topics have to exist, and one for dead letters, ``fleet.dead-letters.spending``; what the app needs for
itself it creates. Rows are served at ``/table/totals/<customer>/`` on any worker. Of the rest of the
project the lane uses settings, errors, logs and `fleet.people` alone.
"""

from fleet.errors import FatalError, PermanentError, TransientError
from fleet.lane.agent import LaneAgent
from fleet.lane.app import LaneApp
from fleet.lane.config import LaneConfig
from fleet.lane.dead_letter_limit import DeadLetterLimit
from fleet.lane.effects import (
    CancelTimer,
    DeadLetter,
    Delete,
    Effect,
    Emit,
    Forward,
    ForwardAll,
    Put,
    PutAll,
    SetTimer,
    TickAgain,
)
from fleet.lane.following import Follow, Followed
from fleet.lane.headers import select_headers, value_prefixes
from fleet.lane.inbox import Redriven
from fleet.lane.record import Chunk, Record
from fleet.lane.repartition import Repartition
from fleet.lane.state import State
from fleet.lane.tables import LaneTable
from fleet.lane.ticking import Tick
from fleet.lane.timers import Timer
from fleet.lane.worker import main

__all__ = [
    "CancelTimer",
    "Chunk",
    "DeadLetter",
    "DeadLetterLimit",
    "Delete",
    "Effect",
    "Emit",
    "FatalError",
    "Follow",
    "Followed",
    "Forward",
    "ForwardAll",
    "LaneAgent",
    "LaneApp",
    "LaneConfig",
    "LaneTable",
    "PermanentError",
    "Put",
    "PutAll",
    "Record",
    "Redriven",
    "Repartition",
    "SetTimer",
    "State",
    "Tick",
    "TickAgain",
    "Timer",
    "TransientError",
    "main",
    "select_headers",
    "value_prefixes",
]
