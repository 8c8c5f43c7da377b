"""How the Python engines decode a charge: the fields that they use and no others, by msgspec."""

from __future__ import annotations

import msgspec


class Charge(msgspec.Struct, gc=False):
    """What the tables' cases use of an event."""

    member_id: str
    charge_cents: int
    event_time_ms: int


read_charge = msgspec.json.Decoder(Charge).decode
