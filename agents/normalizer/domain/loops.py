"""Arrange the segments of a professional claim transaction into the loops of its implementation guide.

The guide prescribes where each segment may stand; a segment with no place there refuses the file, so that
nothing is read into the wrong loop (an `NM1*PR` is the payer in loop 2010BB and another payer in 2330B).
Source: ASC X12N 005010X222A1, Health Care Claim: Professional (837), section 2.
"""

from __future__ import annotations

import msgspec

from agents.normalizer.domain.tokenizer import Segment


class _Child(msgspec.Struct, frozen=True, gc=False):
    loop: str
    order: int
    repeats: bool = False


class _Rule(msgspec.Struct, frozen=True, gc=False):
    segments: frozenset[str]
    children: dict[str, _Child]


class Loop(msgspec.Struct):
    """One occurrence of a loop.

    Attributes:
        name: Its number in the guide, e.g. ``2010BA``; empty for the transaction itself.
        parent: The loop that it stands in.
        segments: Its own segments, in order, the one that opens it first.
        loops: The loops in it, in order.
    """

    name: str
    parent: Loop | None
    segments: list[Segment]
    loops: list[Loop] = []

    def first(self, name: str) -> Loop | None:
        """Return the first loop of that name directly inside this one."""
        for loop in self.loops:
            if loop.name == name:
                return loop
        return None

    def all(self, segment_id: str) -> list[Segment]:
        """Return this loop's own segments of one id, in order."""
        return [segment for segment in self.segments if segment.elements[0] == segment_id]

    def qualified(self, segment_id: str, qualifier: str) -> Segment | None:
        """Return the loop's own segment with that id and first element, refusing a second one."""
        found = None
        for segment in self.segments:
            if segment.elements[0] == segment_id and segment.get(1) == qualifier:
                if found is not None:
                    raise segment.error(
                        "unexpected_segment", f"a second {segment_id} {qualifier} in one loop"
                    )
                found = segment
        return found

    def optional(self, segment_id: str) -> Segment | None:
        """Return the loop's own segment of that id, refusing a second one."""
        found = self.all(segment_id)
        if len(found) > 1:
            raise found[1].error("unexpected_segment", f"a second {segment_id} in loop {self.name}")
        return found[0] if found else None

    def required(self, segment_id: str) -> Segment:
        """Return the loop's own segment of that id, refusing none and a second one."""
        found = self.optional(segment_id)
        if found is None:
            raise self.segments[0].error("missing_segment", f"its {segment_id} is missing")
        return found

    def required_loop(self, name: str, opener: str) -> Loop:
        """Return the loop of that name in this one, which the named segment would open."""
        found = self.first(name)
        if found is None:
            raise self.segments[0].error("missing_segment", f"its {opener} (loop {name}) is missing")
        return found


def _rule(segments: str, **children: _Child) -> _Rule:
    return _Rule(
        frozenset(segments.split()), {key.replace("_", "*"): child for key, child in children.items()}
    )


# Keys name the segment that opens a loop: its id, and for HL and NM1 the code that says which loop it is.
# The words are the other segments that a loop may hold before the loops inside it.
# Loops of equal order may stand in any order: senders mix the providers of a claim freely, without harm.
_GRAMMAR: dict[str, _Rule] = {
    "": _rule(
        "BHT", NM1_41=_Child("1000A", 0), NM1_40=_Child("1000B", 1), HL_20=_Child("2000A", 2, repeats=True)
    ),
    "1000A": _rule("PER"),
    "1000B": _rule(""),
    "2000A": _rule(
        "PRV CUR",
        NM1_85=_Child("2010AA", 0),
        NM1_87=_Child("2010AB", 1),
        NM1_PE=_Child("2010AC", 2),
        HL_22=_Child("2000B", 3, repeats=True),
    ),
    "2010AA": _rule("N3 N4 REF PER"),
    "2010AB": _rule("N3 N4"),
    "2010AC": _rule("N3 N4 REF"),
    "2000B": _rule(
        "SBR PAT",
        NM1_IL=_Child("2010BA", 0),
        NM1_PR=_Child("2010BB", 1),
        CLM=_Child("2300", 2, repeats=True),
        HL_23=_Child("2000C", 3, repeats=True),
    ),
    "2010BA": _rule("N3 N4 DMG REF PER"),
    "2010BB": _rule("N3 N4 REF"),
    "2000C": _rule("PAT", NM1_QC=_Child("2010CA", 0), CLM=_Child("2300", 1, repeats=True)),
    "2010CA": _rule("N3 N4 DMG REF PER"),
    "2300": _rule(
        "DTP PWK CN1 AMT REF K3 NTE CR1 CR2 CRC HI HCP",
        NM1_DN=_Child("2310A", 0, repeats=True),
        NM1_P3=_Child("2310A", 0, repeats=True),
        NM1_82=_Child("2310B", 0),
        NM1_77=_Child("2310C", 0),
        NM1_DQ=_Child("2310D", 0),
        NM1_PW=_Child("2310E", 0),
        NM1_45=_Child("2310F", 0),
        SBR=_Child("2320", 1, repeats=True),
        LX=_Child("2400", 2, repeats=True),
    ),
    "2310A": _rule("REF"),
    "2310B": _rule("PRV REF"),
    "2310C": _rule("N3 N4 REF PER"),
    "2310D": _rule("REF"),
    "2310E": _rule("N3 N4"),
    "2310F": _rule("N3 N4"),
    "2320": _rule(
        "CAS AMT OI MOA",
        NM1_IL=_Child("2330A", 0),
        NM1_PR=_Child("2330B", 1),
        NM1_DN=_Child("2330C", 2, repeats=True),
        NM1_P3=_Child("2330C", 2, repeats=True),
        NM1_82=_Child("2330D", 2),
        NM1_77=_Child("2330E", 2),
        NM1_DQ=_Child("2330F", 2),
        NM1_85=_Child("2330G", 2),
    ),
    "2330A": _rule("N3 N4 REF"),
    "2330B": _rule("N3 N4 DTP REF"),
    "2330C": _rule("REF"),
    "2330D": _rule("REF"),
    "2330E": _rule("REF"),
    "2330F": _rule("REF"),
    "2330G": _rule("REF"),
    "2400": _rule(
        "SV1 SV5 PWK CR1 CR3 CRC DTP QTY MEA CN1 REF AMT K3 NTE PS1 HCP",
        LIN=_Child("2410", 0),
        NM1_82=_Child("2420A", 0),
        NM1_QB=_Child("2420B", 0),
        NM1_77=_Child("2420C", 0),
        NM1_DQ=_Child("2420D", 0),
        NM1_DK=_Child("2420E", 0),
        NM1_DN=_Child("2420F", 0, repeats=True),
        NM1_P3=_Child("2420F", 0, repeats=True),
        NM1_PW=_Child("2420G", 0),
        NM1_45=_Child("2420H", 0),
        SVD=_Child("2430", 1, repeats=True),
        LQ=_Child("2440", 2, repeats=True),
    ),
    "2410": _rule("CTP REF"),
    "2420A": _rule("PRV REF"),
    "2420B": _rule("REF"),
    "2420C": _rule("N3 N4 REF"),
    "2420D": _rule("REF"),
    "2420E": _rule("N3 N4 REF PER"),
    "2420F": _rule("REF"),
    "2420G": _rule("N3 N4"),
    "2420H": _rule("N3 N4"),
    "2430": _rule("CAS DTP AMT"),
    "2440": _rule("FRM"),
}
_KNOWN = frozenset(
    {segment_id for rule in _GRAMMAR.values() for segment_id in rule.segments}
    | {key.partition("*")[0] for rule in _GRAMMAR.values() for key in rule.children}
)
_ORDER = {
    (name, child.loop): child.order for name, rule in _GRAMMAR.items() for child in rule.children.values()
}
_QUALIFIER = {"NM1": 1, "HL": 3}


def arrange(st: Segment, body: list[Segment]) -> Loop:
    """Return the tree of loops of one transaction, from its ST and the segments up to its SE.

    Raises:
        X12Error: ``unknown_segment`` for an id that the guide does not have, ``unexpected_segment`` for one
            that it does not allow at that place.
    """
    root = current = Loop("", None, [st])
    for segment in body:
        current = _place(segment, current)
    return root


def _place(segment: Segment, current: Loop) -> Loop:
    segment_id = segment.elements[0]
    number = _QUALIFIER.get(segment_id)
    key = f"{segment_id}*{segment.get(number)}" if number else segment_id
    loop: Loop | None = current
    while loop is not None:
        rule = _GRAMMAR[loop.name]
        child = rule.children.get(key)
        if child is not None:
            return _open(segment, loop, child)
        if segment_id in rule.segments:
            if loop.loops:
                break
            loop.segments.append(segment)
            return loop
        loop = loop.parent
    if segment_id in _KNOWN:
        raise segment.error("unexpected_segment", "not allowed at this place of an 837P")
    raise segment.error("unknown_segment", "not a segment of an 837P")


def _open(segment: Segment, parent: Loop, child: _Child) -> Loop:
    if parent.loops:
        last = _ORDER[parent.name, parent.loops[-1].name]
        if child.order < last or (not child.repeats and parent.first(child.loop) is not None):
            raise segment.error("unexpected_segment", f"loop {child.loop} may not stand here")
    loop = Loop(child.loop, parent, [segment])
    parent.loops.append(loop)
    return loop
