"""The normalizer over records in memory: real sample files in, encoded events or dead letters out."""

from __future__ import annotations

import random
from datetime import UTC

import pytest

from agents.normalizer.domain.claim_837p import MAPPING, MAPPING_VERSION, normalise
from agents.normalizer.normalize import NO_NPI, SUBJECT, TARGET, Normalizer
from agents.normalizer.samples import Sample, generate, malformed, other_transactions, sample_837p
from fleet.lane import DeadLetter, Effect, Emit
from schemas.codec import Codec
from tests.support.agents_claims import as_read
from tests.support.agents_memory import effects_of
from tests.support.agents_schemas import new_codec, warmed_codec
from tests.support.lane_fakes import SourceRecord

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
BROKEN = {
    "bad_file.edi": ("not_x12", "ISA"),
    "error_validation.edi": ("control_number_mismatch", "SE"),
    "segment_terminator.edi": ("missing_segment", "ISA"),
    "unknown_segment_error.edi": ("unknown_segment", "HL"),
}


@pytest.fixture
async def codec() -> Codec:
    """A codec over the catalogue's schemas."""
    return await warmed_codec()


def raw(sample: Sample, offset: int = 7) -> SourceRecord:
    """Return a sample as its source system publishes it."""
    headers = {
        "ce_id": f"file-{offset}",
        "ce_source": "/systems/clearinghouse-east",
        "ce_subject": sample.name,
        "traceparent": TRACE,
    }
    encoded = tuple((name, value.encode()) for name, value in headers.items())
    return SourceRecord(sample.content, offset, b"clearinghouse-east", "raw.x12", 3, headers=encoded)


@pytest.mark.parametrize("sample", sample_837p(), ids=lambda sample: sample.name)
def test_a_file_becomes_the_claims_of_the_domain(sample: Sample, codec: Codec) -> None:
    """One event for each claim, keyed by NPI; its decoded value is the domain's claim, all of it."""
    record = raw(sample)
    claims = normalise(sample.content, system="clearinghouse-east", file=sample.name)
    effects = effects_of(Normalizer(codec).process, [record])
    assert len(effects) == len(claims) > 0
    for effect, claim in zip(effects, claims, strict=True):
        assert isinstance(effect, Emit)
        assert (effect.topic, effect.partition, effect.cause) == (TARGET, None, record)
        assert effect.key == (claim.billing_provider.npi or NO_NPI).encode()
        assert effect.value is not None
        assert codec.decode(effect.value) == as_read(claim.as_avro())
        assert codec.schema_id(SUBJECT) == int.from_bytes(effect.value[1:5], "big")


def test_an_event_names_its_cause(codec: Codec) -> None:
    """Attributes are CloudEvents, the id tells record and segment, causation is the file's event."""
    sample = sample_837p()[0]
    (claim,) = normalise(sample.content, system="clearinghouse-east", file=sample.name)
    (emit,) = effects_of(Normalizer(codec).process, [raw(sample)])
    assert isinstance(emit, Emit)
    headers = {name: value.decode() for name, value in emit.headers}
    assert headers == {
        "ce_specversion": "1.0",
        "ce_id": f"raw.x12/3/7/{MAPPING}@{MAPPING_VERSION}/{claim.source.segment_position}",
        "ce_source": "/systems/clearinghouse-east",
        "ce_type": "canonical.claim",
        "ce_time": claim.event_time.astimezone(UTC).isoformat().replace("+00:00", "Z"),
        "ce_subject": claim.claim_id,
        "ce_causationid": "file-7",
        "traceparent": TRACE,
        "content-type": "application/avro",
    }


def test_every_claim_of_a_large_file_has_an_id_of_its_own(codec: Codec) -> None:
    """A hundred claims of four transactions: a hundred events, ids and claim ids, in file order."""
    (file,) = generate(100, seed=5)
    emits = effects_of(Normalizer(codec).process, [raw(Sample(file.name, file.content))])
    assert len(emits) == 100
    headers = [dict(emit.headers) for emit in emits if isinstance(emit, Emit)]
    assert len({each["ce_id"] for each in headers}) == len({each["ce_subject"] for each in headers}) == 100
    positions = [int(each["ce_id"].rsplit(b"/", 1)[1]) for each in headers]
    assert positions == sorted(positions)


def test_a_provider_without_npi_has_a_key_all_the_same(codec: Codec) -> None:
    """Atypical providers share one key, so that their claims are ordered and aggregated too."""
    sample = sample_837p()[0]
    content = sample.content.replace(b"*****XX*1234567893~N3", b"~N3")
    assert content != sample.content
    (emit,) = effects_of(Normalizer(codec).process, [raw(Sample(sample.name, content))])
    assert isinstance(emit, Emit)
    assert emit.key == b"no-npi"
    assert codec.decode(emit.value or b"")["billing_provider"]["npi"] is None


def test_a_file_from_a_plain_producer_is_taken_too(codec: Codec) -> None:
    """Without CloudEvents attributes the key names the system and the coordinates stand for the file."""
    record = SourceRecord(sample_837p()[0].content, 4, b"clinic", "raw.x12", 2)
    (emit,) = effects_of(Normalizer(codec).process, [record])
    assert isinstance(emit, Emit)
    headers = dict(emit.headers)
    assert (headers["ce_source"], headers["ce_causationid"]) == (b"/systems/clinic", b"raw.x12/2/4")
    assert "traceparent" not in headers
    source = codec.decode(emit.value or b"")["source"]
    assert (source["system"], source["file"]) == ("clinic", "raw.x12/2/4")


def refusal(content: bytes | None, codec: Codec) -> DeadLetter:
    """Return the one effect of a bad file, which must be a dead letter that carries its record."""
    record = SourceRecord(content, 9, b"key", "raw.x12", 1)
    effects = effects_of(Normalizer(codec).process, [record])
    assert len(effects) == 1
    (letter,) = effects
    assert isinstance(letter, DeadLetter)
    assert letter.record is record
    return letter


@pytest.mark.parametrize("sample", malformed(), ids=lambda sample: sample.name)
def test_a_malformed_file_is_one_dead_letter(sample: Sample, codec: Codec) -> None:
    """It says reason and segment, once for the file, and nothing of the file is emitted."""
    letter = refusal(sample.content, codec)
    reason, segment = BROKEN[sample.name]
    assert (letter.reason, letter.step) == (reason, "parse")
    assert letter.detail.startswith(f"{segment} at segment ")


@pytest.mark.parametrize("sample", other_transactions(), ids=lambda sample: sample.name)
def test_another_transaction_set_is_a_dead_letter(sample: Sample, codec: Codec) -> None:
    """Remittances and eligibility files say that they are not claims."""
    letter = refusal(sample.content, codec)
    assert (letter.reason, letter.step) == ("unsupported_transaction_set", "parse")


@pytest.mark.parametrize(
    "content",
    [None, b"", b"\x00", random.Random(1).randbytes(2048), "ÄÖÜ~".encode() * 50],
    ids=["tombstone", "empty", "nul", "random", "text"],
)
def test_bytes_that_are_no_file_are_a_dead_letter(content: bytes | None, codec: Codec) -> None:
    """Whatever a producer sends ends as ``not_x12``, a tombstone too."""
    letter = refusal(content, codec)
    assert (letter.reason, letter.step) == ("not_x12", "parse")


def test_a_bad_file_costs_its_neighbours_nothing(codec: Codec) -> None:
    """In a chunk of good, bad, good files both good ones are emitted, in order."""
    files = [sample_837p()[0], malformed()[1], sample_837p()[1]]
    effects = effects_of(Normalizer(codec).process, [raw(file, offset) for offset, file in enumerate(files)])
    kinds = [type(effect) for effect in effects]
    assert kinds == [Emit, DeadLetter, Emit]
    assert [offset_of(effect) for effect in effects] == [0, 1, 2]


def offset_of(effect: Effect) -> int:
    """Return the offset of the record that an effect follows from."""
    assert isinstance(effect, Emit | DeadLetter)
    cause: SourceRecord = effect.cause if isinstance(effect, Emit) else effect.record
    return cause.offset


def test_a_file_half_bad_loads_nothing(codec: Codec) -> None:
    """Where a later transaction of the file is broken, no claim of the earlier ones is emitted."""
    (file,) = generate(50, seed=5)
    content = file.content.replace(b"SE*", b"SX*", 2).replace(b"SX*", b"SE*", 1)
    letter = refusal(content, codec)
    assert letter.step == "parse"


async def test_ready_loads_what_the_function_needs() -> None:
    """Once ready, a file is encoded without another look-up."""
    normalizer = Normalizer(new_codec())
    await normalizer.ready()
    assert [type(each) for each in effects_of(normalizer.process, [raw(sample_837p()[0])])] == [Emit]


def test_the_same_file_gives_the_same_effects(codec: Codec) -> None:
    """A chunk that is processed again after a lost transaction gives equal events, byte for byte."""
    records = [raw(sample) for sample in sample_837p()]
    process = Normalizer(codec).process
    assert effects_of(process, records) == effects_of(process, records)
