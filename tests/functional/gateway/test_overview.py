"""The overview: a page for a person, JSON for a program, problem details for what goes wrong."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest
from aiohttp import web

from fleet.settings import Settings
from gateway.handlers import prefers_json
from tests.functional.gateway.conftest import Client, Serve


class Page(HTMLParser):
    """What a browser would load or follow, and whether tags are closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.text: list[str] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Collect addresses; remember what has to be closed."""
        found = dict(attrs)
        if tag == "a":
            self.links.append(found["href"] or "")
        self.loaded += [value for name, value in attrs if name in ("src", "srcset") and value]
        if tag in ("link", "script", "img", "iframe"):
            self.loaded.append(tag)
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """Check that the innermost tag is the one that closes."""
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Collect the text."""
        self.text.append(data)


async def test_a_browser_gets_a_page_that_needs_nothing_else(client: Client, settings: Settings) -> None:
    """Well-formed, no external assets, links and curl lines to every worker's views."""
    answer = await client.get("/", headers={"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"})
    assert (answer.status, answer.content_type) == (200, "text/html")
    page = Page(await answer.text())
    assert page.open == []
    assert page.loaded == []
    router = f"http://127.0.0.1:{settings.router_port}"
    aggregator = f"http://127.0.0.1:{settings.aggregator_port}"
    normalizer = f"http://127.0.0.1:{settings.normalizer_port}"
    assert {f"{router}/routes", f"{router}/routed", f"{normalizer}/lane", f"{aggregator}/table/"} <= set(
        page.links
    )
    assert f"{client.make_url('/health/ready')}" in page.links
    assert f"curl '{aggregator}/v1/aggregates/NAME/windows/START'" in page.text
    assert not any("{" in link for link in page.links)
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]


async def test_what_parts_say_cannot_become_markup(client: Client, settings: Settings, serve: Serve) -> None:
    """A reason is text, whatever a worker puts into it."""

    async def hostile(request: web.Request) -> web.StreamResponse:
        del request
        return web.json_response({"ok": False, "reasons": ["<script>alert(1)</script>"]}, status=503)

    await serve(settings.router_port, hostile)
    page = Page(await (await client.get("/")).text())
    assert "script" not in page.loaded
    assert "<script>alert(1)</script>" in page.text


async def test_a_program_gets_json(client: Client, settings: Settings) -> None:
    """The same parts and views, by name."""
    answer = await client.get("/", headers={"Accept": "application/json"})
    assert answer.content_type == "application/json"
    assert answer.headers["Vary"] == "Accept"
    found = await answer.json()
    assert found["ready"] is False
    assert list(found["parts"]) == ["broker", "registry", "normalizer", "router", "aggregator"]
    assert found["views"]["router"]["/routed"]["url"] == (f"http://127.0.0.1:{settings.router_port}/routed")


@pytest.mark.parametrize(
    ("accept", "json"),
    [
        ("", False),
        ("*/*", False),
        ("application/json", True),
        ("Application/JSON; charset=utf-8", True),
        ("text/html, application/json", False),
        ("text/html;q=0.5, application/json", True),
        ("application/json;q=0.5, text/html;q=0.9", False),
        ("application/json;q=0", False),
        ("application/json;q=high", False),
    ],
)
def test_accept_decides_between_page_and_json(accept: str, *, json: bool) -> None:
    """JSON only where it is ranked over HTML (RFC 9110)."""
    assert prefers_json(accept) is json


async def test_an_unknown_path_is_a_problem(client: Client) -> None:
    """RFC 9457, with a hint."""
    answer = await client.get("/nope")
    assert answer.content_type == "application/problem+json"
    assert await answer.json() == {
        "type": "about:blank",
        "title": "Not Found",
        "status": 404,
        "detail": "nothing is at /nope: see /",
    }


async def test_a_method_that_is_not_taken_is_a_problem(client: Client) -> None:
    """With the methods that are, in the header and for people."""
    answer = await client.delete("/health/ready")
    assert answer.status == 405
    assert answer.headers["Allow"] == "GET,HEAD"
    assert (await answer.json())["detail"] == "/health/ready does not take DELETE: use GET, HEAD"
