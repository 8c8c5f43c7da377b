"""Dead letters of all agents: read, looked at, edited as a copy, redriven exactly once, purged."""

from tables.dead_letters.letter import Letter, LetterId, State
from tables.dead_letters.selection import Selection
from tables.dead_letters.service import AUDIT, STATUS, DeadLetters

__all__ = ["AUDIT", "STATUS", "DeadLetters", "Letter", "LetterId", "Selection", "State"]
