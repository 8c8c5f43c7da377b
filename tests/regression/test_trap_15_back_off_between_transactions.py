"""Trap 15: the client waits 20 ms between transactions, whatever it is told, and the commit's p99 with it."""

from __future__ import annotations

import importlib.util
from types import ModuleType, SimpleNamespace
from typing import Any

from aiokafka.errors import ConcurrentTransactions
from aiokafka.producer import sender
from aiokafka.producer.transaction_manager import TransactionManager

from fleet.lane import clients

OURS_S = 0.002


def _as_installed() -> ModuleType:
    """Return the client's module anew, as nobody has touched it."""
    spec = importlib.util.find_spec("aiokafka.producer.sender")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _waits_s(module: Any) -> float:
    """Return how long a sender waits where the transaction before is still being ended."""
    transaction = TransactionManager("id", 1000)
    at_work = SimpleNamespace(_txn_manager=transaction, _retry_backoff=clients.RETRY_BACKOFF_MS / 1000)
    answer = SimpleNamespace(errors=[("topic", [(0, ConcurrentTransactions.errno)])])
    return float(module.AddPartitionsToTxnHandler(at_work, []).handle_response(answer))


async def test_the_client_alone_waits_twenty_milliseconds() -> None:
    """Its constant has no setting: where this fails the client was changed, and the lane's line may go."""
    assert _waits_s(_as_installed()) == 0.02


async def test_the_lane_waits_two() -> None:
    """The constant that the lane sets is the one that is read."""
    assert _waits_s(sender) == OURS_S
