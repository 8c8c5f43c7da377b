"""``eventfleet dead-letters edit | redrive | purge`` as processes, stopped at any moment."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
from pathlib import Path

import pytest

from fleet.cli.dead_letters_acting import app as commands
from fleet.settings import Settings
from tables.dead_letters import LetterId
from tests.support.agents_cli import eventfleet
from tests.support.commands import invoke
from tests.support.dead_letters import Desk
from tests.support.polling import until

pytestmark = pytest.mark.usefixtures("letters")

LIMIT_S = 90.0
MANY = 400


async def said(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Return exit code and all that a process wrote."""
    out, err = await asyncio.to_thread(process.communicate, timeout=LIMIT_S)
    return process.returncode, out + err


def redriving(settings: Settings, desk: Desk, *more: str) -> subprocess.Popen[str]:
    """Start to redrive all letters of the test."""
    return eventfleet(settings, "dead-letters", "redrive", "--reason", desk.reason, *more)


async def written(desk: Desk, count: int) -> list[int]:
    """Write letters with offsets from 0; return these."""
    await asyncio.gather(*(desk.write(offset=number, partition=number % 3) for number in range(count)))
    return list(range(count))


async def offsets(desk: Desk) -> list[int]:
    """Return the first offsets of the records in the inbox, in order."""
    headers = [dict(each.headers) for each in await desk.redriven()]
    return sorted(int(each["fleet_dl_offset"]) for each in headers)


async def test_two_processes_redrive_each_letter_once(desk: Desk, stack_settings: Settings) -> None:
    """Started at the same time on the same letters, each takes some, neither takes one twice."""
    wanted = await written(desk, 60)
    both = [redriving(stack_settings, desk, "--rate", "40") for _ in range(2)]
    for code, text in await asyncio.gather(*map(said, both)):
        assert code == 0, text
        assert text.startswith("done: "), text
    assert await offsets(desk) == wanted


async def test_one_killed_in_the_middle_is_gone_on_with(desk: Desk, stack_settings: Settings) -> None:
    """Kill -9 after some letters; asked again, the others follow, and none is there twice."""
    wanted = await written(desk, MANY)
    killed = redriving(stack_settings, desk, "--rate", "100")

    async def some() -> bool:
        assert killed.poll() is None, "it ended before it was killed"
        return len(await offsets(desk)) > MANY // 10

    await until(some, LIMIT_S, "some letters redriven")
    killed.send_signal(signal.SIGKILL)
    await said(killed)
    before = len(await offsets(desk))
    assert before < MANY
    code, text = await said(redriving(stack_settings, desk, "--rate", "10000"))
    assert code == 0, text
    assert await offsets(desk) == wanted
    assert f"done: {MANY - before} redriven, {before} skipped, 0 refused" in text


async def test_ctrl_c_ends_it_in_order(desk: Desk, stack_settings: Settings) -> None:
    """What was done is said; the others stay open."""
    await written(desk, 100)
    process = redriving(stack_settings, desk, "--rate", "4")

    async def some() -> bool:
        return bool(await offsets(desk))

    await until(some, LIMIT_S, "some letters redriven")
    process.send_signal(signal.SIGINT)
    code, text = await said(process)
    done = len(await offsets(desk))
    assert (code, f"cancelled: {done} redriven" in text) == (0, True), text


async def test_a_copy_is_edited_in_a_file_and_redriven(
    desk: Desk, stack_settings: Settings, tmp_path: Path
) -> None:
    """`show --json` gives what `edit --file` takes."""
    where = await desk.write(b"bad", offset=3)

    def edited() -> str:
        shown = invoke(commands, stack_settings, "show", where.name, "--json")
        assert shown.exit_code == 0, shown.stderr
        document = json.loads(shown.stdout)
        document["payload"]["content"] = "good"
        file = tmp_path / "letter.json"
        file.write_text(json.dumps(document))
        done = invoke(commands, stack_settings, "edit", where.name, "--file", str(file), "--redrive")
        assert done.exit_code == 0, done.stderr
        return done.stdout

    line = await asyncio.to_thread(edited)
    assert line.startswith(f"{where.name}: copied to {desk.agent}/2/")
    assert line.endswith(", redriven\n")
    (record,) = await desk.redriven()
    assert (record.value, record.headers[0]) == (b"good", ("ce_id", b"1"))


async def test_all_letters_are_never_meant_by_mistake(desk: Desk, stack_settings: Settings) -> None:
    """Without names, options or --all nothing is done; both names and options make no sense."""
    where = await desk.write()

    def run(*arguments: str) -> str:
        done = invoke(commands, stack_settings, *arguments)
        assert done.exit_code == 1
        return done.stderr

    for command in (["redrive"], ["purge", "--because", "x"]):
        assert "no letters are named: name some, select by options, or give --all" in await asyncio.to_thread(
            run, *command
        )
        both = (*command, where.name, "--reason", desk.reason)
        assert "letters are named and selected" in await asyncio.to_thread(run, *both)
    assert "--only when=now is no NAME=VALUE" in await asyncio.to_thread(run, "redrive", "--only", "when=now")
    assert "'noon' is no time" in await asyncio.to_thread(run, "redrive", "--only", "since=noon")


async def test_purged_by_command_they_are_hidden(desk: Desk, stack_settings: Settings) -> None:
    """The command says how many; they are listed only where purged ones are asked for."""
    named: list[LetterId] = [await desk.write(offset=number) for number in range(2)]

    def run(*arguments: str) -> str:
        done = invoke(commands, stack_settings, *arguments)
        assert done.exit_code == 0, done.stderr
        return done.stdout

    assert (
        await asyncio.to_thread(run, "purge", named[0].name, "--because", "test") == "1 purged, 0 skipped\n"
    )
    shown = await asyncio.to_thread(run, "list", "--reason", desk.reason, "--json")
    assert [json.loads(line)["offset"] for line in shown.splitlines()] == [named[1].offset]
    only = ("--only", "state=purged")
    counted = await asyncio.to_thread(run, "count", "--reason", desk.reason, *only)
    assert counted.split()[-1] == "1"
