"""The embedded stack on real processes: started, reused, and gone without a trace."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from fleet.errors import FatalError
from fleet.settings import Settings
from stack.embedded import EmbeddedStack
from stack.registry import JOURNAL
from tests.support.stack import environment, isolated_settings, parts_dir, processes_in

pytestmark = pytest.mark.stack

_OWNER = """
import sys
from collections.abc import Iterator
from pathlib import Path
from fleet.settings import settings
from stack.embedded import EmbeddedStack
say = lambda line: print(line, flush=True)
with EmbeddedStack(settings(), parts_dir=Path(sys.argv[1]), say=say):
    say("inside")
    sys.stdin.read()
"""


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Settings]:
    """Settings of a stack of this test alone; what a failed test left up is stopped."""
    settings = isolated_settings(tmp_path)
    yield settings
    EmbeddedStack(settings).down()


def _all_gone(folder: Path, within_s: float = 30.0) -> bool:
    """Tell whether all processes of a stack end within a bound."""
    deadline = time.monotonic() + within_s
    while processes_in(folder):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


def test_a_second_up_reuses_what_the_first_started(own: Settings, tmp_path: Path) -> None:
    """`up` outlives its stack object; a later one finds the same processes; `down` ends them."""
    said: list[str] = []
    stack = EmbeddedStack(own, parts_dir=parts_dir(), say=said.append)
    try:
        stack.up()
        first = stack.status()
        again = EmbeddedStack(own, parts_dir=parts_dir(), say=said.append)
        with again:
            assert again.status() == first
        assert [part.state for part in stack.status()] == ["up", "up"]
        assert [line.split(" on ")[0].split(" ", 3)[3] for line in said[-2:]] == ["already up"] * 2
    finally:
        stopped = stack.down()
    assert len(stopped) == 2
    assert [part.state for part in stack.status()] == ["down", "down"]
    assert processes_in(tmp_path) == []


def test_the_context_manager_leaves_no_process(own: Settings, tmp_path: Path) -> None:
    """What an exception unwinds is stopped, and nothing but files is left."""

    def work() -> None:
        with EmbeddedStack(own, parts_dir=parts_dir()):
            assert len(processes_in(tmp_path)) == 2
            raise RuntimeError("work failed")

    with pytest.raises(RuntimeError, match="work failed"):
        work()
    assert processes_in(tmp_path) == []
    assert list((tmp_path / "run").glob("*.json")) == []


@pytest.mark.parametrize(
    ("moment", "number"),
    [
        ("Apache Kafka", signal.SIGTERM),
        ("inside", signal.SIGINT),
        ("inside", signal.SIGKILL),
    ],
)
def test_an_ended_owner_leaves_no_process(
    own: Settings, tmp_path: Path, moment: str, number: signal.Signals
) -> None:
    """Ctrl-C, SIGTERM in the middle of the start, or kill -9 of the owner: the parts go with it."""
    command = [sys.executable, "-c", _OWNER, str(parts_dir())]
    with subprocess.Popen(
        command, env=environment(own), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as owner:
        assert owner.stdout is not None
        assert any(line.startswith(moment) for line in iter(owner.stdout.readline, ""))
        assert processes_in(tmp_path)
        owner.send_signal(number)
        assert owner.wait(60) != 0
    assert _all_gone(tmp_path)


def test_a_taken_port_is_told_before_anything_starts(own: Settings, tmp_path: Path) -> None:
    """The last port of the last part is taken: one line names it, and Kafka was not started."""
    stack = EmbeddedStack(own, parts_dir=parts_dir())
    with socket.create_server((own.host, own.registry_management_port)):
        with pytest.raises(FatalError) as caught:
            stack.up()
        assert processes_in(tmp_path) == []
    assert f"Port {own.registry_management_port} " in str(caught.value)
    assert "EVENTFLEET_REGISTRY_MANAGEMENT_PORT" in str(caught.value)


def test_a_broker_that_cannot_start_says_why_and_leaves_nothing(own: Settings, tmp_path: Path) -> None:
    """Data of another node: the reason from the log, the way out, and no process."""
    stack = EmbeddedStack(own, parts_dir=parts_dir())
    data = tmp_path / "kafka" / "data"
    data.mkdir(parents=True)
    (data / "meta.properties").write_text("version=1\ncluster.id=AAAAAAAAAAAAAAAAAAAAAA\nnode.id=7\n")
    (tmp_path / "kafka" / "kafka-version").write_text("4.3.1")
    with pytest.raises(FatalError, match=r"ended while starting: .*node.*7.*stack down --wipe"):
        stack.up()
    assert processes_in(tmp_path) == []


async def test_the_journal_of_the_registry_is_one_partition_kept_for_ever(stack_settings: Settings) -> None:
    """Schemas are replayed in order, and none expires."""
    admin = AIOKafkaAdminClient(bootstrap_servers=stack_settings.kafka)
    await admin.start()
    try:
        (journal,) = await admin.describe_topics([JOURNAL])
        (answer,) = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, JOURNAL)])
    finally:
        await admin.close()
    assert len(journal["partitions"]) == 1
    configuration = {entry[0]: entry[1] for entry in answer.resources[0][4]}
    kept = {name: configuration[name] for name in ("cleanup.policy", "retention.ms", "retention.bytes")}
    assert kept == {"cleanup.policy": "delete", "retention.ms": "-1", "retention.bytes": "-1"}


def test_the_registry_starts_out_backward(stack_settings: Settings) -> None:
    """A new subject is checked for backward compatibility without anybody's doing."""
    with urllib.request.urlopen(f"{stack_settings.registry}/config", timeout=10) as answer:  # noqa: S310
        assert json.load(answer) == {"compatibilityLevel": "BACKWARD"}
