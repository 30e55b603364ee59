"""Posts to a real server: what arrives, what is tried again, and that an address is shown nowhere."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from azr_platform.alerts.courier import Courier, Undelivered
from azr_platform.alerts.told import Shape, Told, body
from azr_platform.alerts.webhook import BadAddress, Webhook, checked
from azr_platform.config.alerts import AlertsConfig

DEADLINE = 300.0
Make = Callable[..., Told]


def courier_to(hook: Any, tell: Callable[[str], None], timeout: float = DEADLINE, **settings: Any) -> Courier:
    config = AlertsConfig(timeout_seconds=timeout, **settings)
    return Courier("alerts.webhooks json:HOOK", Webhook("json", hook.url, timeout), config, tell, first_wait=0.01)


def end(courier: Courier) -> None:
    courier.finish()
    courier.join(DEADLINE)


def test_a_message_arrives_whole_in_each_shape(hook: Any, told: Make) -> None:
    for shape in ("json", "slack", "discord"):
        Webhook(shape, hook.url, DEADLINE).deliver(told(head="ab" * 32))
    plain, slack, discord = hook.wait(3)
    assert plain == {
        "text": "azr-platform demo: high alert trace.escape at step 7 of branch 1",
        "type": "alert",
        "run": "demo",
        "time": 1.5,
        "branch": 1,
        "step": 7,
        "name": "trace.escape",
        "severity": "high",
        "times": 1,
        "untold": 0,
        "head": "ab" * 32,
        "quote": "",
    }
    assert slack["text"] == slack["blocks"][0]["text"]["text"] == plain["text"]
    assert slack["blocks"][0]["text"]["type"] == "plain_text"
    assert discord["content"] == plain["text"].replace("-", r"\-").replace(":", r"\:").replace(".", r"\.")
    assert discord["allowed_mentions"] == {"parse": []}
    assert set(hook.paths) == {"/services/T0/s3cr3t?token=s3cr3t"}


HOSTILE = 'a <!channel> @everyone <@1> **b** `c` [d](http://e.invalid) # f \\ " {g} http://h.invalid & ☃'


@pytest.mark.parametrize("shape", ["json", "slack", "discord"])
def test_a_quote_is_no_markup_mention_or_link_in_a_chat(shape: Shape, told: Make) -> None:
    data = body(told(quote=HOSTILE, run="<!here>"), shape)
    assert data.isascii()
    sent = json.loads(data)
    if shape == "json":
        assert sent["quote"] == HOSTILE
    elif shape == "slack":
        assert "<" not in sent["text"] and "channel" not in sent["text"], "mentions work here"
        assert "http://" not in str(sent)
        assert sent["blocks"][0]["text"]["type"] == "plain_text"
    else:
        text = sent["content"]
        assert "http://" not in text
        for at, character in enumerate(text):
            if character in "*`[](){}<>#@_~|":
                assert text[at - 1] == "\\", text[: at + 1]


@pytest.mark.parametrize("shape", ["slack", "discord"])
def test_a_state_carries_the_ledger_s_head_into_the_chat(shape: Shape, told: Make) -> None:
    assert b"ab" * 32 in body(told("finished", type="state", severity="", head="ab" * 32), shape)


def test_failures_are_tried_again_until_it_arrives(hook: Any, told: Make) -> None:
    hook.answers = [500, 503, 429, "cut"]
    troubles: list[str] = []
    courier = courier_to(hook, troubles.append)
    courier.put(told())
    got = hook.wait(5)
    end(courier)
    assert troubles == []
    assert len(got) == 5 and all(one == got[0] for one in got)


def test_what_never_arrives_is_one_notice_however_many_there_are(hook: Any, told: Make) -> None:
    hook.answers = [500] * 1000
    troubles: list[str] = []
    courier = courier_to(hook, troubles.append, attempts=3, per_minute=100)
    for number in range(5):
        courier.put(told(f"rule {number}"))
    hook.wait(15)
    end(courier)
    assert troubles == [
        "alerts.webhooks json:HOOK: not delivered in 3 attempts: HTTP 500; later messages are tried, and what is lost "
        "counted",
        "alerts.webhooks json:HOOK: 5 messages were not delivered",
    ]


@pytest.mark.parametrize("status", [301, 307, 400, 401, 404, 410])
def test_what_will_not_change_is_not_tried_again_and_a_redirect_is_not_followed(
    status: int, hook: Any, told: Make
) -> None:
    hook.answers, hook.headers = [status], {"Location": f"http://127.0.0.1:{hook.port}/elsewhere"}
    with pytest.raises(Undelivered, match=f"^HTTP {status}$") as refused:
        Webhook("json", hook.url, DEADLINE).deliver(told())
    assert not refused.value.again
    assert len(hook.got) == 1


def test_a_server_that_asks_for_time_is_given_it(hook: Any, told: Make) -> None:
    hook.answers, hook.headers = [429], {"Retry-After": "7"}
    with pytest.raises(Undelivered) as refused:
        Webhook("json", hook.url, DEADLINE).deliver(told())
    assert (refused.value.again, refused.value.after) == (True, 7.0)


@pytest.mark.parametrize("answer", ["hang", "drip"])
def test_a_server_that_does_not_come_to_an_end_is_given_up(answer: str, hook: Any, told: Make) -> None:
    """Also one that sends a byte now and then, which no timeout of a socket ends."""
    hook.answers = [answer]
    with pytest.raises(Undelivered, match=r"^no answer in time$"):
        Webhook("json", hook.url, 0.5).deliver(told())


def test_a_closed_port_and_an_unknown_host_are_named_without_the_address(told: Make, closed_port: int) -> None:
    with pytest.raises(Undelivered, match=r"^Connection refused$"):
        Webhook("json", f"http://127.0.0.1:{closed_port}/s3cr3t", DEADLINE).deliver(told())
    with pytest.raises(Undelivered) as refused:
        Webhook("json", "http://nowhere.invalid/s3cr3t", DEADLINE).deliver(told())
    assert "s3cr3t" not in str(refused.value)


def test_a_server_without_tls_behind_an_https_address_is_no_crash(hook: Any, told: Make) -> None:
    with pytest.raises(Undelivered) as refused:
        Webhook("json", f"https://127.0.0.1:{hook.port}/s3cr3t", DEADLINE).deliver(told())
    assert "s3cr3t" not in str(refused.value)


def test_a_way_that_hangs_holds_nobody_up_and_the_end_waits_no_longer_than_it_is_told(hook: Any, told: Make) -> None:
    hook.answers = ["hang"] * 10
    troubles: list[str] = []
    courier = courier_to(hook, troubles.append, per_minute=100)
    courier.put(told("first"))
    hook.wait(1)
    for number in range(1000):
        courier.put(told(f"rule {number}"))  # returns, although nothing is delivered
    courier.finish()
    courier.join(0.01)
    assert troubles == ["alerts.webhooks json:HOOK: it took too long at the run's end; its last messages may be lost"]
    hook.answers = []
    courier._thread.join(DEADLINE)
    assert not courier._thread.is_alive(), "what it waited for was cut off"


def test_the_end_cuts_the_wait_between_attempts_short(hook: Any, told: Make) -> None:
    hook.answers, hook.headers = [503], {"Retry-After": "60"}
    troubles: list[str] = []
    courier = courier_to(hook, troubles.append)
    courier.put(told())
    hook.wait(1)
    end(courier)
    assert len(hook.got) == 2
    assert troubles == []


@pytest.mark.parametrize(
    "address",
    [
        "",
        "s3cr3t",
        "hooks.slack.com/s3cr3t",
        "file:///etc/s3cr3t",
        "ftp://a/s3cr3t",
        "http://",
        "http://[s3cr3t",
        "https://user:s3cr3t@host/",
        "https://host:s3cr3t/",
        "https://host/s3cr3t x",
        "https://host/s3cr3t\r\nX: y",
        "https://host/s3cr3té",
    ],
)
def test_what_is_no_address_is_refused_without_showing_it(address: str) -> None:
    with pytest.raises(BadAddress) as refused:
        checked(address)
    assert "s3cr3t" not in str(refused.value)


def test_spaces_around_an_address_do_not_matter() -> None:
    assert checked(" https://host/x\n") == "https://host/x"
