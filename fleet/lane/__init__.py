"""The exactly-once batch lane: Faust owns membership, the lane owns position."""

from fleet.lane.app import LaneApp
from fleet.lane.effects import DeadLetter, Delete, Effect, Emit, Put
from fleet.lane.record import Chunk, Record
from fleet.lane.state import State

__all__ = ["Chunk", "DeadLetter", "Delete", "Effect", "Emit", "LaneApp", "Put", "Record", "State"]
