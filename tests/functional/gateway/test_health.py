"""The gateway's health: what is not ready is named, and nothing can keep it waiting."""

from __future__ import annotations

import asyncio

from aiohttp import web

from fleet.settings import Settings
from tests.functional.gateway.conftest import Client, Serve

PARTS = ("broker", "registry", "normalizer", "router", "aggregator")


async def ready(request: web.Request) -> web.StreamResponse:
    """Answer as a part that is ready."""
    del request
    return web.json_response({"ok": True, "reasons": []})


async def halted(request: web.Request) -> web.StreamResponse:
    """Answer as a worker with a halted task."""
    assert request.path == "/health/ready"
    return web.json_response({"ok": False, "reasons": ["router/3 is halted: why", "rebalancing"]}, status=503)


async def test_live_needs_no_part(client: Client) -> None:
    """A restart mends nothing that lies outside the gateway."""
    answer = await client.get("/health/live")
    assert (answer.status, await answer.json()) == (200, {"ok": True, "reasons": []})


async def test_every_part_that_is_down_is_named(client: Client, settings: Settings) -> None:
    """503 with one reason a part, each with the address that was tried."""
    answer = await client.get("/health/ready")
    assert answer.status == 503
    assert answer.content_type == "application/problem+json"
    assert answer.headers["Retry-After"] == "1"
    ports = (
        settings.kafka_port,
        settings.registry_port,
        settings.normalizer_port,
        settings.router_port,
        settings.aggregator_port,
    )
    reasons = [
        f"{part}: nothing answers at 127.0.0.1:{port}" for part, port in zip(PARTS, ports, strict=True)
    ]
    problem = await answer.json()
    assert problem["reasons"] == reasons
    assert problem["detail"] == "; ".join(reasons)
    assert (problem["status"], problem["title"], problem["ok"]) == (503, "Service Unavailable", False)


async def test_a_workers_own_reasons_are_passed_on(client: Client, settings: Settings, serve: Serve) -> None:
    """Who asks the gateway need not ask the worker; a worker that is ready gives none."""
    await serve(settings.router_port, halted)
    await serve(settings.aggregator_port, ready)
    await serve(settings.registry_port, ready)
    reasons = (await (await client.get("/health/ready")).json())["reasons"]
    assert [reason for reason in reasons if reason.startswith("router")] == [
        "router: router/3 is halted: why",
        "router: rebalancing",
    ]
    assert [reason.split(":")[0] for reason in reasons] == ["broker", "normalizer", "router", "router"]


async def test_an_answer_that_is_not_a_workers_is_reported_by_status(
    client: Client, settings: Settings, serve: Serve
) -> None:
    """Another program on the port is not taken for a ready worker."""

    async def other(request: web.Request) -> web.StreamResponse:
        del request
        return web.Response(text="<h1>It works!</h1>", content_type="text/html", status=404)

    await serve(settings.router_port, other)
    reasons = (await (await client.get("/health/ready")).json())["reasons"]
    assert f"router: HTTP 404 from http://127.0.0.1:{settings.router_port}/health/ready" in reasons


async def test_parts_that_hang_are_not_waited_for(client: Client, settings: Settings, serve: Serve) -> None:
    """All hang at once, the broker too: the answer comes after one limit, not after five."""
    hung = asyncio.Event()

    async def hang(request: web.Request) -> web.StreamResponse:
        await hung.wait()
        return await ready(request)

    async def deaf(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        await hung.wait()
        writer.close()

    for port in (
        settings.registry_port,
        settings.normalizer_port,
        settings.router_port,
        settings.aggregator_port,
    ):
        await serve(port, hang)
    broker = await asyncio.start_server(deaf, "127.0.0.1", settings.kafka_port)
    try:
        reasons = (await (await client.get("/health/ready")).json())["reasons"]
    finally:
        hung.set()
        broker.close()
    assert reasons == [f"{part}: no answer within 2 s" for part in PARTS]


async def test_metrics_count_requests_by_route_and_parts_by_state(
    client: Client, settings: Settings, serve: Serve
) -> None:
    """A path that does not exist has no label of its own: nobody can blow the metrics up."""
    await serve(settings.router_port, ready)
    await client.get("/health/ready")
    await client.get("/no/such/path")
    answer = await client.get("/metrics")
    lines = (await answer.text()).splitlines()
    assert answer.content_type == "text/plain"
    assert 'fleet_gateway_part_up{part="router"} 1.0' in lines
    assert 'fleet_gateway_part_up{part="broker"} 0.0' in lines
    counted = [line for line in lines if line.startswith("fleet_gateway_requests_total{")]
    assert any('route="/health/ready",status="503"' in line for line in counted)
    assert any('route="(none)",status="404"' in line for line in counted)
    assert not any("/no/such/path" in line for line in lines)
