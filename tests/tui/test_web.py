"""The web server under attack: names, origins, addresses, pages and dashboards that are not what they should be."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from yarl import URL

from azr_platform.channel.messages import Action
from azr_tui.web.guard import HEADERS, new_token
from azr_tui.web.server import ASSETS, HOST, PageServer, open_server

TOKEN = "the-token-of-the-tests"
DEADLINE = 120.0


class Site:
    """A server in this process, and a client that is a well-behaved page of it unless told otherwise."""

    def __init__(self, http: aiohttp.ClientSession, port: int, complaints: list[str]) -> None:
        self.http = http
        self.port = port
        self.complaints = complaints
        self.origin = f"http://{HOST}:{port}"

    def get(self, path: str = f"/{TOKEN}/", **headers: str) -> Any:
        return self.http.get(self.origin + path, headers=headers)

    def open(self, path: str = f"/{TOKEN}/socket", size: str = "?width=100&height=30", **headers: str) -> Any:
        given = {"Origin": self.origin, **headers}
        return self.http.ws_connect(self.origin + path + size, headers={k: v for k, v in given.items() if v})


@asynccontextmanager
async def serving(command: Sequence[str], most: int = 8) -> AsyncIterator[Site]:
    complaints: list[str] = []
    runner, port = await open_server(PageServer(command, TOKEN, complaints.append, most), 0)
    assert runner.addresses == [("127.0.0.1", port)]
    try:
        async with aiohttp.ClientSession() as http:
            yield Site(http, port, complaints)
    finally:
        await runner.cleanup()


def dashboard(run: Path, *options: str) -> list[str]:
    return [sys.executable, "-P", "-m", "azr_platform", "tui", str(run), *options]


def puppet(tmp_path: Path, body: str) -> list[str]:
    """A program in the dashboard's place. ``say(letter, bytes)`` sends a packet; it leaves its pid in ``pids``."""
    script = tmp_path / "puppet.py"
    script.write_text(
        "import json, os, signal, struct, sys, time\n"
        f"open({str(tmp_path / 'pids')!r}, 'a').write(f'{{os.getpid()}}\\n')\n"
        "def say(kind, payload):\n"
        "    os.write(1, kind + struct.pack('>I', len(payload)) + payload)\n"
        "os.write(1, b'__GANGLION__\\n')\n" + body,
        "utf-8",
    )
    return [sys.executable, str(script)]


def started(tmp_path: Path) -> list[int]:
    pids = tmp_path / "pids"
    return [int(pid) for pid in pids.read_text().split()] if pids.exists() else []


def lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


async def until(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline, f"did not happen: {what}"
        await asyncio.sleep(0.02)


async def read_until(socket: Any, words: str) -> str:
    """What the dashboard draws, without its control sequences, up to some words of it."""
    drawn = ""
    while words not in drawn:
        message = await asyncio.wait_for(socket.receive(), DEADLINE)
        assert message.type in (aiohttp.WSMsgType.BINARY, aiohttp.WSMsgType.TEXT), f"closed before {words!r}: {drawn}"
        if message.type is aiohttp.WSMsgType.BINARY:
            drawn += re.sub(r"\x1b(\[[0-?]*[ -/]*[@-~]|.)", "", message.data.decode())
    return drawn


ECHO = "say(b'D', b'here')\nwhile data := os.read(0, 4096): say(b'D', repr(data).encode())\n"


async def test_the_page_and_all_that_belongs_to_it_come_from_here(tmp_path: Path) -> None:
    async with serving(puppet(tmp_path, ECHO)) as site:
        for name in ASSETS:
            async with site.get(f"/{TOKEN}/{name}") as answer:
                assert answer.status == 200
                assert {key: answer.headers[key] for key in HEADERS} == HEADERS
                if name.endswith(("html", "css", "page.js")) or not name:
                    assert not re.search(r"(src|href|url\()\s*=?\s*[\"']?(https?:)?//", await answer.text())
    policy = HEADERS["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'") and "http" not in policy
    assert "script-src 'self';" in policy


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example", "me@localhost", "0.0.0.0", "[::]", ""]
)
async def test_a_name_that_was_made_to_point_here_is_refused(tmp_path: Path, host: str) -> None:
    async with serving(puppet(tmp_path, ECHO)) as site:
        async with site.get(Host=f"{host}:{site.port}") as answer:
            assert answer.status == 403 and "127.0.0.1 and localhost only" in await answer.text()
        with pytest.raises(aiohttp.WSServerHandshakeError, match="403"):
            await site.open(Host=f"{host}:{site.port}", Origin=f"http://{host}:{site.port}")
        assert not started(tmp_path)


async def test_the_near_end_of_a_tunnel_is_let_in_under_its_own_port(tmp_path: Path) -> None:
    async with serving(puppet(tmp_path, ECHO)) as site:
        async with site.get(Host="localhost:9999") as answer:
            assert answer.status == 200
        async with site.open(Host="localhost:9999", Origin="http://localhost:9999") as socket:
            await read_until(socket, "here")


@pytest.mark.parametrize(
    "origin",
    ["http://evil.example", "null", "https://127.0.0.1:{port}", "http://127.0.0.1:1", "http://localhost:{port}", ""],
)
async def test_another_site_s_page_opens_no_dashboard(tmp_path: Path, origin: str) -> None:
    async with serving(puppet(tmp_path, ECHO)) as site:
        with pytest.raises(aiohttp.WSServerHandshakeError, match="403"):
            await site.open(Origin=origin.replace("{port}", str(site.port)))
        assert not started(tmp_path)
        async with site.open() as socket:
            await read_until(socket, "here")


@pytest.mark.parametrize("token", ["", "wrong", TOKEN[:-1], TOKEN + "x", TOKEN.upper(), "%00", "%F0%9F%98%80"])
async def test_nothing_is_served_to_who_does_not_hold_the_address(tmp_path: Path, token: str) -> None:
    async with serving(puppet(tmp_path, ECHO)) as site:
        paths = [f"/{token}", *(f"/{token}/{name}" for name in (*ASSETS, "socket"))]
        for path in paths:
            async with site.get(path) as answer:
                assert answer.status == 403, path
                assert TOKEN not in await answer.text()
        with pytest.raises(aiohttp.WSServerHandshakeError, match="403"):
            await site.open(f"/{token}/socket")
        assert not started(tmp_path)


def test_each_server_has_a_token_of_its_own_that_nobody_guesses() -> None:
    tokens = {new_token() for _ in range(100)}
    assert len(tokens) == 100 and all(re.fullmatch(r"[\w-]{43}", token) for token in tokens)


@pytest.mark.parametrize("path", ["..%2f..%2fserver.py", "%2e%2e", "%2fetc%2fpasswd", "session.py", "page/index.html"])
async def test_no_file_but_the_page_s_is_served(tmp_path: Path, path: str) -> None:
    async with serving(puppet(tmp_path, ECHO)) as site:
        async with site.get() as answer:
            assert answer.status == 200
        async with site.http.get(URL(f"{site.origin}/{TOKEN}/{path}", encoded=True)) as answer:
            assert answer.status in (403, 404)


KEYS = ("p", "\r", "r", "\r", "s", "w", "h", "y", "\t", "\r", "4", "x", "X", "\r")


@pytest.mark.parametrize("steering", [False, True])
async def test_a_page_steers_only_where_that_was_allowed(full_run: Any, supervise: Any, steering: bool) -> None:
    supervisor = supervise(full_run[0])
    options = [] if steering else ["--read-only"]
    async with serving(dashboard(full_run[0], *options)) as site, site.open() as socket:
        await read_until(socket, "generate")
        if steering:
            await socket.send_json(["stdin", "p"])
            await read_until(socket, "Pause the run?")
            await socket.send_json(["stdin", "\r"])
            await until(lambda: supervisor.commands, "the command")
            assert [command.action for command in supervisor.commands] == [Action.PAUSE]
            return
        await read_until(socket, "watching only")
        for key in KEYS:
            await socket.send_json(["stdin", key])
        await read_until(socket, "nothing can be changed")
        await socket.send_json(["stdin", "5"])
        await socket.send_json(["stdin", "q"])
        while (await asyncio.wait_for(socket.receive(), DEADLINE)).type is not aiohttp.WSMsgType.CLOSED:
            pass
    assert supervisor.commands == []


async def test_no_more_dashboards_run_than_were_allowed(tmp_path: Path) -> None:
    async with serving(puppet(tmp_path, ECHO), most=2) as site:
        sockets = [await site.open(), await site.open()]
        refused = await asyncio.gather(*(site.open() for _ in range(20)), return_exceptions=True)
        assert {getattr(error, "status", None) for error in refused} == {503}
        await asyncio.gather(*(read_until(socket, "here") for socket in sockets))
        assert len(started(tmp_path)) == 2
        await sockets[0].close()
        await until(lambda: sum(map(lives, started(tmp_path))) == 1, "the end of one")
        again: list[Any] = []
        while not again:
            try:
                again.append(await site.open())
            except aiohttp.WSServerHandshakeError:
                await asyncio.sleep(0.02)
        await read_until(again[0], "here")


async def test_plain_requests_for_the_socket_take_no_dashboard_s_place(tmp_path: Path) -> None:
    async with serving(puppet(tmp_path, ECHO), most=2) as site:
        for _ in range(5):
            async with site.get(f"/{TOKEN}/socket", Origin=site.origin) as answer:
                assert answer.status == 400
        assert not started(tmp_path)
        async with site.open() as socket:
            await read_until(socket, "here")


@pytest.mark.parametrize(
    "said",
    [
        "",
        "no JSON",
        "[]",
        "{}",
        '["quit"]',
        '["deliver_chunk_request", {"key": "k", "size": 9}]',
        '["stdin", 7]',
        '["stdin"]',
        '["resize", {"width": "wide", "height": 2}]',
        '["resize", {"width": 80, "height": 24, "type": "quit"}]',
        '["resize", {"width": 1e400, "height": 2}]',
        "[" * 100_000,
        json.dumps(["stdin", "x" * 70_000]),
        b"\x00\x01",
    ],
    ids=lambda said: repr(said[:30]),
)
async def test_a_page_that_says_anything_else_ends_its_dashboard_and_no_other(
    tmp_path: Path, said: str | bytes
) -> None:
    async with serving(puppet(tmp_path, ECHO)) as site, site.open() as other, site.open() as socket:
        await read_until(socket, "here")
        await (socket.send_bytes(said) if isinstance(said, bytes) else socket.send_str(said))
        while (message := await asyncio.wait_for(socket.receive(), DEADLINE)).type is not aiohttp.WSMsgType.CLOSED:
            assert message.type is aiohttp.WSMsgType.CLOSE or message.type is aiohttp.WSMsgType.CLOSING
        await until(lambda: sum(map(lives, started(tmp_path))) == 1, "the end of its dashboard")
        await read_until(other, "here")
        await other.send_json(["stdin", "a"])
        await read_until(other, repr(b"D\x00\x00\x00\x01a"))
        assert site.complaints == []


async def test_keys_reach_the_dashboard_as_keys_whatever_they_spell(tmp_path: Path) -> None:
    async with serving(puppet(tmp_path, ECHO)) as site, site.open() as socket:
        await read_until(socket, "here")
        forged = 'M\x00\x00\x00\x0f{"type":"quit"}'
        await socket.send_json(["stdin", forged])
        await read_until(socket, repr(b"D\x00\x00\x00\x14" + forged.encode())[2:-1])
        await socket.send_json(["resize", {"width": 10**9, "height": -5}])
        await read_until(socket, '"width": 500, "height": 1')


async def test_a_dashboard_opens_no_page_and_hands_over_no_file(tmp_path: Path) -> None:
    body = (
        "for said in ({'type': 'open_url', 'url': 'http://evil.example', 'new_tab': True},\n"
        "             {'type': 'deliver_file_start', 'key': 'k', 'path': '/etc/passwd'}):\n"
        "    say(b'M', json.dumps(said).encode())\n"
        "say(b'P', b'packed')\nsay(b'D', b'shown')\nsay(b'M', b'{\"type\": \"exit\"}')\ntime.sleep(600)\n"
    )
    async with serving(puppet(tmp_path, body)) as site, site.open() as socket:
        messages = [await asyncio.wait_for(socket.receive(), DEADLINE) for _ in range(2)]
        assert messages[0].data == b"shown"
        assert messages[1].type is aiohttp.WSMsgType.CLOSE
        await until(lambda: not any(map(lives, started(tmp_path))), "its end")


STUBBORN = {
    "ignores what it is told": "signal.signal(signal.SIGTERM, signal.SIG_IGN)\nwhile True: time.sleep(600)\n",
    "talks without end": "signal.signal(signal.SIGTERM, signal.SIG_IGN)\nwhile True: say(b'D', b'x' * 65536)\n",
    "hides behind a child": "os.fork()\nwhile True: time.sleep(600)\n",
}


@pytest.mark.parametrize("body", STUBBORN.values(), ids=STUBBORN)
async def test_no_dashboard_outlives_its_page(tmp_path: Path, body: str) -> None:
    async with serving(puppet(tmp_path, body)) as site:
        socket = await site.open()
        await until(lambda: started(tmp_path), "its start")
        await socket.close()
        pid = started(tmp_path)[0]
        await until(lambda: not lives(pid), "its end")
        with pytest.raises(ProcessLookupError):
            while True:  # the whole group is gone, not the first of it alone
                os.killpg(pid, 0)
                await asyncio.sleep(0.02)


async def test_a_page_that_reads_nothing_stops_its_dashboard_and_no_other(tmp_path: Path) -> None:
    flood = "say(b'D', b'here')\nfor n in range(4000): say(b'D', b'x' * 65536)\nopen('done', 'w')\n"
    async with serving(puppet(tmp_path, f"os.chdir({str(tmp_path)!r})\n" + flood)) as site:
        reader, writer = await asyncio.open_connection(HOST, site.port)
        writer.write(
            f"GET /{TOKEN}/socket HTTP/1.1\r\nHost: {HOST}:{site.port}\r\nOrigin: {site.origin}\r\n"
            "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n".encode()
        )
        await until(lambda: started(tmp_path), "its start")
        async with site.get() as answer:
            assert answer.status == 200
        await asyncio.sleep(0.5)
        assert not (tmp_path / "done").exists()  # what nobody reads is not kept in memory either
        writer.close()
        await until(lambda: not any(map(lives, started(tmp_path))), "its end")
        del reader


async def test_last_words_are_told_on_one_inert_line(tmp_path: Path) -> None:
    body = "sys.stderr.write('first\\n' * 100000 + 'ledger \\x1b]52;c;aGk=\\x07 gone\\n')\nsys.exit(1)\n"
    async with serving(puppet(tmp_path, body)) as site, site.open() as socket:
        while (await asyncio.wait_for(socket.receive(), DEADLINE)).type is not aiohttp.WSMsgType.CLOSED:
            pass
        await until(lambda: site.complaints, "a complaint")
    assert site.complaints == ["a dashboard ended with: ledger ␛]52;c;aGk=␇ gone"]


# --- the command ----------------------------------------------------------------------------------------------


def serve(run: Path, *options: str, cwd: Path | None = None) -> tuple[subprocess.Popen[str], str]:
    """The command as a user starts it, and the address that it printed."""
    command = [*dashboard(run, "--serve", "--port", "0"), *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=cwd)
    assert process.stdout is not None
    said = ""
    for line in process.stdout:
        said += line
        if line.startswith("Whoever"):
            return process, re.findall(r"http://127\.0\.0\.1:\d+/[\w-]{43}/", said)[0]
    raise AssertionError(said)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
async def test_the_server_s_end_is_the_end_of_its_dashboards(full_run: Any, how: signal.Signals) -> None:
    process, address = serve(full_run[0])
    try:
        origin = address.rpartition("/")[0].rpartition("/")[0]
        async with aiohttp.ClientSession() as http:
            sockets = [await http.ws_connect(f"{address}socket", headers={"Origin": origin}) for _ in range(2)]
            for socket in sockets:
                await read_until(socket, "Reward")
            children = [
                int(pid) for pid in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
            ]
            assert len(children) == 2 and all(map(lives, children))
            process.send_signal(how)
            await until(lambda: process.poll() is not None, "the server's end")
            assert process.returncode == (0 if how is not signal.SIGKILL else -how)
            await until(lambda: not any(map(lives, children)), "the end of the dashboards")
    finally:
        process.kill()
        process.communicate()


async def test_no_shell_reads_the_name_of_the_run(full_ledger: Path, tmp_path: Path, open_run: Any) -> None:
    run, _ = open_run(name="$(touch pwned); touch 'pwned' `touch pwned` \"", ledger=full_ledger)
    process, address = serve(run, cwd=tmp_path)
    try:
        origin = address.rpartition("/")[0].rpartition("/")[0]
        async with (
            aiohttp.ClientSession() as http,
            http.ws_connect(f"{address}socket", headers={"Origin": origin}) as socket,
        ):
            await read_until(socket, "Reward")
        assert not (tmp_path / "pwned").exists()
        assert address.rpartition("/")[0].rpartition("/")[2] not in Path(f"/proc/{process.pid}/cmdline").read_text()
    finally:
        process.terminate()
        process.communicate(timeout=60)


def _said(*command: str) -> tuple[int, str]:
    ran = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert not ran.stdout
    return ran.returncode, ran.stderr


def test_what_cannot_be_served_is_one_line(full_run: Any) -> None:
    run = full_run[0]
    code, said = _said(*dashboard(run, "--port", "9000"))
    assert code == 2 and said == "error: --port and --allow-steering are for --serve\n"
    code, said = _said(*dashboard(run, "--serve", "--read-only", "--allow-steering"))
    assert code == 2 and said == "error: --read-only and --allow-steering exclude each other\n"
    code, said = _said(*dashboard(run / "missing", "--serve"))
    assert code == 2 and said.startswith("error: ") and said.count("\n") == 1
    process, address = serve(run)
    try:
        port = re.findall(r":(\d+)/", address)[0]
        code, said = _said(*dashboard(run, "--serve", "--port", port))
        assert code == 2 and said.startswith(f"error: port {port} of this machine cannot be had")
        assert "choose another with --port" in said and said.count("\n") == 1
    finally:
        process.terminate()
        process.communicate(timeout=60)


def test_where_the_web_s_packages_are_missing_their_installation_is_named(full_run: Any) -> None:
    code = (
        "import sys; sys.modules['aiohttp'] = None; sys.argv = ['azr-platform', 'tui', sys.argv[1], '--serve']\n"
        "from azr_platform.cli.main import main; main()"
    )
    status, said = _said(sys.executable, "-c", code, str(full_run[0]))
    assert status == 2
    assert said == (
        "error: --serve needs aiohttp, which is not installed: make setup, or pip install 'azr-platform[web]'\n"
    )
