"""Changes of aggregates as a stream and by long polls, on a real broker."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager

import psutil
import pytest
import pytest_asyncio

from fleet.settings import Settings
from tests.support.agents_fleet import apply_topics
from tests.support.aggregate_changes import LIMIT_S, Aggregation, Watched, watched
from tests.support.polling import until

SLOW_LIMIT_S = 3.0
LARGE = 10_000
MANY = 600
"""Changes of large groups that no socket holds."""


@pytest.fixture(scope="module")
def settings(stack_settings: Settings) -> Settings:
    """Settings of a stack with the topics and schemas of the catalogue."""
    asyncio.run(apply_topics(stack_settings))
    return stack_settings


@pytest_asyncio.fixture
async def changes(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Watched]:
    """A worker and a gateway."""
    async with watched(settings, monkeypatch, SLOW_LIMIT_S) as found:
        yield found


async def test_changes_come_once_they_are_committed(changes: Watched, unique: Callable[[str], str]) -> None:
    """Each with its row; what is not committed waits, what is rolled back never comes."""
    made = await changes.aggregation(unique("committed"))
    async with changes.stream(made) as stream, changes.transaction(made, unique) as open_one:
        await open_one.write(["first"], "12.30")
        async with changes.transaction(made, unique) as other:
            await other.write(["never"])
            await other.abort_transaction()
        # Of a partition that no open transaction holds up.
        await changes.write(made, ["fourth"])
        assert await stream.keys(1) == ["fourth"]
        await open_one.commit_transaction()
        event = await stream.next()
        assert event is not None
        assert (event.name, event.data["id"]) == ("change", event.id)
        assert {name: event.data[name] for name in ("key", "start", "end", "state", "values", "build")} == {
            "key": {"payer": "first"},
            "start": "1970-01-01T00:00:00Z",
            "end": "1970-01-01T01:00:00Z",
            "state": "open",
            "values": {"total": "12.30"},
            "build": 1,
        }
        await changes.write(made, ["last"])
        assert await stream.keys(1) == ["last"]


async def test_a_stream_is_of_one_group_or_of_all(changes: Watched, unique: Callable[[str], str]) -> None:
    """Those of a group leave out others of its partition; their place is not one of all."""
    made = await changes.aggregation(unique("one"))
    async with changes.stream(made) as every, changes.stream(made, "?payer=fourth") as one:
        # "a" has the same partition.
        await changes.write(made, ["a", "fourth", "b", "a", "fourth"])
        assert sorted(await every.keys(5)) == ["a", "a", "b", "fourth", "fourth"]
        assert await one.keys(2) == ["fourth", "fourth"]
        assert (len(every.last.split(",")), len(one.last.split(","))) == (6, 1)
        wrong = await changes.poll(made, f"wait_s=1&after={one.last}")
        assert (wrong.status, wrong.body["field"]) == (400, "Last-Event-ID")


async def test_resuming_loses_and_repeats_nothing(changes: Watched, unique: Callable[[str], str]) -> None:
    """However often a client goes and whatever was written meanwhile, by stream or by poll."""
    made = await changes.aggregation(unique("resumed"))
    groups = [f"{letter}{number}" for number in range(3) for letter in "abcdefgh"]
    seen, last = [], made.start()
    for at in range(0, len(groups), 8):
        await changes.write(made, groups[at : at + 8])
        for count in (3, 1):
            async with changes.stream(made, last=last) as stream:
                seen += await stream.keys(count)
                last = stream.last
    while len(seen) < len(groups):
        polled = await changes.poll(made, f"wait_s=20&after={last}")
        found = polled.body["changes"]
        assert (polled.status, bool(found)) == (200, True)
        assert polled.body["next"] == found[-1]["id"]
        # A client that has taken half of them goes on behind the half.
        taken = found[: len(found) // 2 + 1]
        seen += [each["key"]["payer"] for each in taken]
        last = taken[-1]["id"]
    assert sorted(seen) == sorted(groups)
    idle = await changes.poll(made, f"wait_s=1&after={last}")
    assert idle.body == {"changes": [], "next": last}


async def test_a_poll_waits_for_changes(changes: Watched, unique: Callable[[str], str]) -> None:
    """It answers once there is one, also of one group."""
    made = await changes.aggregation(unique("polled"))
    waiting = asyncio.create_task(changes.poll(made, "wait_s=30&payer=a&after=5:0"))
    await changes.write(made, ["fourth", "b"])
    done, _ = await asyncio.wait({waiting}, timeout=1)
    assert not done
    await changes.write(made, ["a"], "7.00")
    answer = await waiting
    assert [(each["key"], each["values"]) for each in answer.body["changes"]] == [
        ({"payer": "a"}, {"total": "7.00"})
    ]


async def test_a_stream_comes_through_the_gateway_as_it_is_written(
    changes: Watched, unique: Callable[[str], str]
) -> None:
    """Change by change while the stream goes on; it ends with the worker."""
    made = await changes.aggregation(unique("gateway"))
    async with changes.stream(made, through_gateway=True) as stream:
        for group in ("a", "b"):
            await changes.write(made, [group])
            assert await stream.keys(1) == [group]
        last = stream.last
        await changes.stop()
        assert await stream.next() is None
    await changes.nobody_reads()
    refused = await changes.poll(made, f"wait_s=1&after={last}")
    assert (refused.status, refused.headers["Retry-After"] > "") == (503, True)


@pytest.mark.parametrize("through_gateway", [False, True], ids=["worker", "gateway"])
async def test_nothing_is_read_once_the_client_has_gone(
    changes: Watched, unique: Callable[[str], str], *, through_gateway: bool
) -> None:
    """Though nothing is written that would tell; neither by a stream nor by a poll."""
    made = await changes.aggregation(unique("gone"))
    async with changes.stream(made, through_gateway=through_gateway):
        assert changes.open_readers == 1
    await changes.nobody_reads()
    polling = asyncio.create_task(changes.poll(made, "wait_s=30"))

    async def two() -> bool:
        return len(changes.readers) == 2

    await until(two, LIMIT_S, "the reader of the poll")
    polling.cancel()
    await changes.nobody_reads()


async def test_a_slow_client_is_told_and_cut_off(changes: Watched, unique: Callable[[str], str]) -> None:
    """One that takes what is left finds the event ``slow`` at its end, and can go on from its last id."""
    made = await changes.aggregation(unique("slow"))
    await _fill(changes, made)
    with _raw(changes, made) as client:
        await changes.nobody_reads()
        reader, writer = await asyncio.open_connection(sock=client)
        async with asyncio.timeout(LIMIT_S):
            said = (await reader.read(-1)).decode()
        writer.close()
    taken = said.count("event: change\n")
    assert 0 < taken < MANY
    assert 'event: slow\ndata: {"detail":"nothing was taken for 3 s' in said
    last = said.split("id: ")[-1].splitlines()[0]
    async with changes.stream(made, last=last) as stream:
        assert len(await stream.keys(MANY - taken)) == MANY - taken


async def test_a_client_that_takes_nothing_holds_nothing(
    changes: Watched, unique: Callable[[str], str]
) -> None:
    """Not the connection either: what it was sent and does not take is dropped in the end."""
    made = await changes.aggregation(unique("stuck"))
    await _fill(changes, made)
    with _raw(changes, made) as client:

        async def held() -> bool:
            return _holds(client)

        async def dropped() -> bool:
            return not _holds(client)

        await until(held, LIMIT_S, "the connection accepted")
        await changes.nobody_reads()
        await until(dropped, LIMIT_S, "the connection dropped")


async def test_what_cannot_be_followed_is_told_so(changes: Watched, unique: Callable[[str], str]) -> None:
    """No change topic is a conflict that says what to do, an unknown aggregation or build a 404."""
    silent = await changes.aggregation(unique("silent"), output={})
    for query in ("", "?wait_s=1"):
        answer = await changes.api.ask("GET", f"{silent.path}{query}")
        assert (answer.status, "writes no changes" in answer.body["detail"]) == (409, True)
        assert "output.topic" in answer.body["hint"]
    made = await changes.aggregation(unique("told"))
    unheard = Aggregation(unique("nobody"), 0)
    for path, status in (
        (unheard.path, 404),
        (f"{made.path}?build=7", 404),
        (f"{made.path}?after=soon", 400),
        (f"{made.path}?payer=a&after=1:0", 400),
        (f"{made.path}?plan=1", 400),
        (f"{made.path}?after=" + made.start().replace("5:0", "5:9"), 410),
        (f"{made.path}?wait_s=1&after=" + made.start().replace("5:0", "5:9"), 410),
    ):
        answer = await changes.api.ask("GET", path)
        assert (answer.status, answer.body["status"]) == (status, status), path
    csv = await changes.api.ask("GET", made.path, headers={"Accept": "text/csv"})
    assert csv.status == 406
    assert changes.open_readers == 0


async def _fill(changes: Watched, made: Aggregation) -> None:
    """Write more than any socket holds."""
    await changes.write(made, [f"{number:0{LARGE}}" for number in range(MANY)])


@contextmanager
def _raw(changes: Watched, made: Aggregation) -> Iterator[socket.socket]:
    """Ask for all changes, and take nothing of the answer."""
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect((changes.worker.host, changes.worker.port))
        named = {"Host": "worker", "Last-Event-ID": made.start(), **changes.headers}
        lines = [f"GET /v1{made.path} HTTP/1.1", *(f"{name}: {value}" for name, value in named.items())]
        client.sendall("\r\n".join([*lines, "", ""]).encode())
        client.settimeout(0)
        yield client


def _holds(client: socket.socket) -> bool:
    """Return whether the worker, in this process, has the other end of a connection."""
    found = psutil.Process().net_connections("tcp")
    return any(each.raddr and each.raddr == client.getsockname() for each in found)
