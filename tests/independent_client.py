#!/usr/bin/env python3
"""Checks what other services find on NATS, with a client that shares no code with igstream: nats-py.

Starts `igstream serve --demo` on free ports, plays Instagram to it, and compares every message of every stream that
others read with the simulator's ledger: subjects, CloudEvents headers, bodies, and how often each is there.

    tests/independent_client.py [IGSTREAM-BINARY]        (nats-py is in .tools/python after `make tools`)
"""

import asyncio
import collections
import datetime
import json
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time
import uuid

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / ".tools" / "python"), str(ROOT / "scripts")]

import nats  # noqa: E402
from nats.js.api import ConsumerConfig, DeliverPolicy  # noqa: E402
from service import Failed, Service, built, free_address, tail  # noqa: E402

DELIVERIES = 300
SECRET, TOKEN = "independent-client-secret", "independent-client-token"
PATIENCE = 60
BODY = {
    "receipt_id", "event_id", "event_type", "ig_account_id", "object_type", "object_id", "sender_ig_id",
    "sender_username", "recipient_ig_id", "occurred_at", "received_at", "delivery_id", "data",
}
TRACEPARENT = re.compile(r"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
STREAMS = {
    "INSTAGRAM_EVENTS": "instagram.events",
    "INSTAGRAM_STORED": "instagram.stored",
    "INSTAGRAM_DEAD_LETTERS": "instagram.dead_letters",
}

Event = collections.namedtuple("Event", "type account id")
Message = collections.namedtuple("Message", "subject headers body")


def main():
    # So that the service is stopped then, too.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    binary = sys.argv[1] if len(sys.argv) > 1 else built()
    with tempfile.TemporaryDirectory(prefix="igstream-client.") as home:
        service = Service(binary, home, environment(pathlib.Path(home)))
        try:
            service.start()
            service.wait_until_ready()
            summary = asyncio.run(check(service))
            status = service.stop(30)
            require(status == 0, f"igstream serve exits 0 when told to end, not {status}")
        except Failed as error:
            shown = str(service.log) in str(error)
            log = "" if shown else f"\n--- the service's log ends with\n{tail(service.log)}"
            sys.exit(f"independent client: {error}{log}")
        finally:
            service.stop()
    print(f"independent client: {summary}")


def environment(home):
    return {
        "IGSTREAM__SERVER__BIND": free_address(),
        "IGSTREAM__METRICS__BIND": free_address(),
        "IGSTREAM__NATS__LISTEN": free_address(),
        "IGSTREAM__NATS__DATA_DIR": str(home / "nats"),
        "IGSTREAM__DATABASE__URL": f"sqlite://{home / 'igstream.db'}?mode=rwc",
        "IGSTREAM__INSTAGRAM__APP_SECRETS": SECRET,
        "IGSTREAM__INSTAGRAM__VERIFY_TOKEN": TOKEN,
    }


def require(condition, what):
    if not condition:
        raise Failed(what)


async def check(service):
    url = f"nats://{service.environment['IGSTREAM__NATS__LISTEN']}"
    client = await nats.connect(url, connect_timeout=5, max_reconnect_attempts=3)
    try:
        # A subscriber of plain NATS that was there before the traffic, as a live view is.
        live = []
        await client.subscribe("instagram.stored.>", cb=collecting(live))
        await client.flush()
        told, new, dead, retried = read_ledger(await asyncio.to_thread(simulate, service))
        js = client.jetstream()
        await settle(service, js, new.total(), dead.total())
        streams = {name: await read(js, name, f"{prefix}.>") for name, prefix in STREAMS.items()}
        check_events(streams["INSTAGRAM_EVENTS"], told, dead, retried)
        check_stored(streams["INSTAGRAM_STORED"], new)
        check_dead_letters(streams["INSTAGRAM_DEAD_LETTERS"], dead, retried)
        await check_filters(js, streams["INSTAGRAM_EVENTS"])
        require(
            sorted(m.subject for m in live) == sorted(m.subject for m in streams["INSTAGRAM_STORED"]),
            "a subscriber of plain NATS gets what the stream INSTAGRAM_STORED holds",
        )
    finally:
        await client.close()
    return (f"{len(streams['INSTAGRAM_EVENTS'])} events of {DELIVERIES} deliveries are on their subjects, "
            f"{new.total()} stored once each, {dead.total()} dead letters")


def collecting(messages):
    async def collect(message):
        messages.append(message)
    return collect


def simulate(service):
    """Plays Instagram; returns the lines of the ledger."""
    ledger, log = service.home / "ledger.ndjson", service.home / "simulate.log"
    player = service.spawn(
        ["simulate", "--url", service.webhook, "--count", str(DELIVERIES), "--rate", "0", "--seed", "1",
         "--invalid", "4", "--ledger", str(ledger), "--json"],
        log, stdout=subprocess.PIPE, text=True,
    )
    with player:
        summary = player.stdout.read()
    require(player.returncode == 0, f"igstream simulate ends well, not with {player.returncode}:\n{tail(log)}")
    try:
        json.loads(summary)
    except ValueError:
        raise Failed(f"igstream simulate --json prints JSON, not {summary[:200]!r}") from None
    with open(ledger, encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def read_ledger(lines):
    """How often each event was told and accepted, and as a new one; dead letters per account; what may be there once
    more. What is unknown is told by a digest, which the ledger does not have: that of an account counts as one event.
    """
    accepted = [line for line in lines if line["status"] == 200]
    told, new, dead, retried = collections.Counter(), collections.Counter(), collections.Counter(), set()
    for line in accepted:
        event = Event(line["type"], line["ig_account_id"], line["event_id"])
        if line["expectation"] in ("stored", "duplicate"):
            told[event] += 1
        elif line["expectation"] == "dead":
            dead[event.account] += 1
        if line["expectation"] == "stored":
            new[event] += 1
        if line.get("retried"):
            retried.add(event)
    require(told and new.keys() == told.keys(), "the ledger has each event that was told again as a new one first")
    require(all(count == 1 for event, count in new.items() if event.id), "the ledger has each event as a new one once")
    require(max(told.values()) > 1, "the ledger has an event that was told twice")
    require(any(event.type == "unknown" for event in told), "the ledger has an event of none of the nine types")
    return told, new, dead, retried


def in_ledger(event):
    """The event as the ledger has it."""
    return event._replace(id=None) if event.type == "unknown" else event


async def settle(service, js, stored, dead):
    """Waits until nothing is under way; what is missing then is missing for good."""
    until = time.monotonic() + PATIENCE
    while True:
        service.check()
        waiting = sum((await asyncio.to_thread(service.read_metrics))["instagram_webhook_queue_depth"].values())
        found = {name: (await js.stream_info(name)).state.messages for name in STREAMS}
        if waiting == 0 and found["INSTAGRAM_STORED"] >= stored and found["INSTAGRAM_DEAD_LETTERS"] >= dead:
            return
        require(
            time.monotonic() < until,
            f"after {PATIENCE} s all is stored: {stored} events and {dead} dead letters expected, "
            f"{waiting:.0f} waiting, messages {found}",
        )
        await asyncio.sleep(0.2)


async def read(js, stream, subject):
    """All messages of a stream on a subject, by a pull consumer that leaves no trace."""
    config = ConsumerConfig(deliver_policy=DeliverPolicy.ALL, filter_subject=subject, inactive_threshold=30)
    subscription = await js.pull_subscribe(subject, stream=stream, config=config)
    messages = []
    pending = (await subscription.consumer_info()).num_pending
    while len(messages) < pending:
        for message in await subscription.fetch(min(500, pending - len(messages)), timeout=10):
            await message.ack()
            headers = {name.lower(): value for name, value in (message.headers or {}).items()}
            messages.append(Message(message.subject, headers, json.loads(message.data)))
    await subscription.unsubscribe()
    return messages


def check_events(messages, told, dead, retried):
    found = collections.Counter()
    for message in messages:
        event = envelope(message, "instagram.events", "")
        check_body(message, event)
        found[in_ledger(event)] += 1
    expected = told + collections.Counter({Event("unknown", account, None): count for account, count in dead.items()})
    for event in expected | found:
        require(
            found[event] == expected[event] or (event in retried and found[event] > expected[event]),
            f"{event} is on INSTAGRAM_EVENTS as often as it was told: {expected[event]}, not {found[event]}",
        )


def check_stored(messages, new):
    found = collections.Counter(
        in_ledger(envelope(message, "instagram.stored", ".stored", lambda receipt: f"stored:{receipt}"))
        for message in messages)
    for event in new | found:
        require(found[event] == new[event],
                f"{event} is on INSTAGRAM_STORED as often as it was new: {new[event]}, not {found[event]} times")


def check_dead_letters(messages, dead, retried):
    found = collections.Counter()
    for message in messages:
        event = envelope(message, "instagram.dead_letters", ".dead_letter", lambda receipt: f"dead:{receipt}:1")
        require(event.type == "unknown", f"only malformed items are dead letters, not {event}")
        found[event.account] += 1
    for account in dead | found:
        may_be_more = any(event.account == account and event.type == "unknown" for event in retried)
        require(
            found[account] == dead[account] or (may_be_more and found[account] > dead[account]),
            f"{dead[account]} malformed items of account {account} are on INSTAGRAM_DEAD_LETTERS, "
            f"not {found[account]}",
        )


def envelope(message, prefix, suffix, message_id=str):
    """Checks subject and headers (CloudEvents 1.0, binary mode) against the body; returns which event it is."""
    headers, body = message.headers, message.body
    event = Event(body["event_type"], body["ig_account_id"], body["event_id"])
    receipt = uuid.UUID(body["receipt_id"])
    require(receipt.version == 7, f"receipt id {receipt} is a UUID of version 7")
    expected = {
        "ce-specversion": "1.0",
        "ce-id": event.id,
        "ce-type": f"com.instagram.{event.type}{suffix}",
        "ce-source": f"/instagram/{event.account}",
        "content-type": "application/json",
        "nats-msg-id": message_id(str(receipt)),
    }
    require(message.subject == f"{prefix}.{event.type}.{event.account}", f"{message.subject} is the subject of {event}")
    for name, value in expected.items():
        require(headers.get(name) == value, f"{event} on {message.subject}: header {name} is {value!r}, not "
                                            f"{headers.get(name)!r}")
    moment(event, "ce-time", headers.get("ce-time"))
    require(TRACEPARENT.fullmatch(headers.get("traceparent", "")),
            f"{event}: traceparent is W3C's, not {headers.get('traceparent')!r}")
    return event


def check_body(message, event):
    body = message.body
    missing = BODY - body.keys()
    require(not missing, f"the body of {event} lacks {sorted(missing)}")
    require(isinstance(body.get("raw"), dict) or body.get("raw_omitted") is True,
            f"the body of {event} has the item as received, or says that it is left out")
    require(event.type == "unknown" or isinstance(body["data"], dict), f"the body of {event} has its typed row")
    uuid.UUID(body["delivery_id"])
    occurred = moment(event, "occurred_at", body["occurred_at"])
    moment(event, "received_at", body["received_at"])
    require(occurred == moment(event, "ce-time", message.headers["ce-time"]), f"ce-time of {event} is its occurred_at")


def moment(event, name, text):
    try:
        parsed = datetime.datetime.fromisoformat(text)
        require(parsed.tzinfo is not None, f"{name} of {event} has a time zone: {text!r}")
        return parsed
    except (TypeError, ValueError):
        raise Failed(f"{name} of {event} is RFC 3339, not {text!r}") from None


async def check_filters(js, messages):
    """A subscriber may ask for a type, or for an account."""
    account = messages[0].body["ig_account_id"]
    for subject, mine in (
        ("instagram.events.comment.*", lambda m: m.body["event_type"] == "comment"),
        (f"instagram.events.*.{account}", lambda m: m.body["ig_account_id"] == account),
    ):
        expected = [m.headers["nats-msg-id"] for m in messages if mine(m)]
        found = [m.headers["nats-msg-id"] for m in await read(js, "INSTAGRAM_EVENTS", subject)]
        require(found == expected and found, f"{subject} selects {len(expected)} events, not {len(found)}")


if __name__ == "__main__":
    main()
