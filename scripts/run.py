#!/usr/bin/env python3
"""The demo: builds igstream, starts it, plays Instagram to it, and shows what happens.

    make run                 from an empty data/demo
    KEEP=1 make run          goes on with what is there
    RELEASE=1 make run       with an optimised build, which takes longer to make
    make run 2>&1 | cat      plain lines, without a table that is redrawn

An IGSTREAM__… variable that is set already wins, such as IGSTREAM__SERVER__BIND for another port.
"""

import collections
import itertools
import json
import math
import os
import pathlib
import re
import secrets
import shutil
import signal
import sqlite3
import subprocess
import sys
import time

from service import ROOT, Failed, Service, built, end, in_use, is_free, stop_orphan, tail

TYPES = (
    "message", "messaging_seen", "comment", "message_reactions", "mention", "live_comment", "story_mention",
    "messaging_postbacks", "story_insights", "unknown",
)
FIRST = 5000
RATE = 100
INTERVAL = 2.0
HOME = ROOT / "data" / "demo"
TERMINAL = sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"


class Stopped(Exception):
    """Ctrl-C, or a SIGTERM."""


def main():
    sys.stdout.reconfigure(line_buffering=True)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)
    try:
        prepare()
        demo(Service(build(), HOME, environment()))
    except Stopped:
        # On a terminal behind its ^C.
        print("\nstopped" if TERMINAL else "stopped")
    except BrokenPipeError:
        # Whoever read our lines has gone.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (Failed, subprocess.CalledProcessError) as error:
        sys.stdout.flush()
        sys.exit(f"{style('31', 'make run failed')}: {error}")


def stop(*_):
    raise Stopped


def prepare():
    subprocess.run([ROOT / "scripts" / "fetch-tools"], check=True)
    nats_dir = HOME / "nats"
    if in_use(nats_dir):
        raise Failed(f"another demo runs on {HOME}: stop it first (its process: {tail(nats_dir / 'igstream.lock')})")
    if os.environ.get("KEEP") != "1":
        stop_orphan(nats_dir)
        shutil.rmtree(HOME, ignore_errors=True)
    HOME.mkdir(parents=True, exist_ok=True)


def build():
    release = os.environ.get("RELEASE") == "1"
    profile = "release" if release else "debug"
    print(f"building igstream ({profile}; some minutes the first time)", flush=True)
    command = ["cargo", "build", "--quiet", "--locked", "--bin", "igstream"]
    subprocess.run(command + ["--release"] * release, cwd=ROOT, check=True)
    return built(profile)


def environment():
    """What the service and the simulator are told; also left in data/demo/env, for whoever wants to try something."""
    demo = {
        "IGSTREAM__SERVER__BIND": "127.0.0.1:8080",
        "IGSTREAM__METRICS__BIND": "127.0.0.1:9464",
        "IGSTREAM__NATS__LISTEN": "127.0.0.1:4222",
        "IGSTREAM__NATS__DATA_DIR": str(HOME / "nats"),
        "IGSTREAM__DATABASE__URL": f"sqlite://{HOME / 'igstream.db'}?mode=rwc",
        "IGSTREAM__INSTAGRAM__APP_SECRETS": secrets.token_hex(16),
        "IGSTREAM__INSTAGRAM__VERIFY_TOKEN": secrets.token_hex(8),
        "IGSTREAM__AUTH__JWT_SECRET": secrets.token_hex(32),
    }
    demo = {name: os.environ.get(name, value) for name, value in demo.items()}
    for name in ("IGSTREAM__SERVER__BIND", "IGSTREAM__METRICS__BIND"):
        if not is_free(demo[name]):
            raise Failed(f"{demo[name]} is taken: stop what listens there, or choose another port, as in\n"
                         f"    {name}=127.0.0.1:{18080 if 'SERVER' in name else 19464} make run")
    with open(os.open(HOME / "env", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.writelines(f"{name}={value}\n" for name, value in demo.items())
    return demo


def demo(service):
    players = []
    try:
        service.start()
        service.wait_until_ready()
        show(service, players)
    finally:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        for player in players:
            end(player, 3)
        ran = service.runs()
        if service.stop() != 0 and ran:
            print(f"igstream serve did not end well; its log is {service.log}")


def show(service, players):
    before = rows(service)
    ledger = HOME / "ledger.ndjson"
    arguments = ["--rate", str(RATE), "--count", str(FIRST), "--duplicates", "5", "--invalid", "1"]
    first = play(service, players, *arguments, "--ledger", str(ledger))
    print(f"Instagram sends {FIRST:,} deliveries, {RATE} a second, to {service.webhook}")
    table = Table(read(service))
    while True:
        time.sleep(INTERVAL)
        service.check()
        metrics = read(service)
        table.draw(metrics)
        if first.poll() is not None and waiting(metrics) == 0 and settled(service, metrics):
            break
    told(first)
    report(ledger, rows(service) - before)
    reach(service)
    go_on(service, players)


def go_on(service, players):
    print(f"Instagram goes on, {RATE} deliveries a second, until Ctrl-C")
    table = Table(read(service))
    player, started = None, 0.0
    while True:
        if player is None or player.poll() is not None:
            if player is not None and player.returncode != 0 and time.monotonic() - started < 10:
                told(player)
            player = play(service, players, "--rate", str(RATE), "--duration", "3600", "--duplicates", "5",
                          "--invalid", "1")
            started = time.monotonic()
        time.sleep(INTERVAL)
        service.check()
        table.draw(read(service))


def play(service, players, *arguments):
    player = service.spawn(["simulate", "--url", service.webhook, "--json", *arguments], HOME / "simulate.log")
    players[:] = [player]
    return player


def told(player):
    if player.returncode != 0:
        raise Failed(f"igstream simulate ended with status {player.returncode}; its log "
                     f"({HOME / 'simulate.log'}) ends with\n{tail(HOME / 'simulate.log')}")


def read(service):
    """Per type what the metrics say; a scrape that fails is a service that died or will be heard of next time."""
    try:
        metrics = service.read_metrics()
    except OSError:
        service.check()
        metrics = {}

    def of(name):
        return collections.Counter({kind: int(n) for kind, n in metrics.get(f"instagram_webhook_{name}", {}).items()})

    duplicates = of("duplicates_total")
    return {
        "received": of("events_received_total"),
        # A duplicate is processed too: its row says that it is one.
        "stored": of("events_processed_total") - duplicates,
        "duplicates": duplicates,
        "dead": of("dead_letters_total"),
        "waiting": of("queue_depth"),
        "known": bool(metrics),
    }


def waiting(metrics):
    return metrics["waiting"].total() if metrics["known"] else None


def settled(service, metrics):
    """Nothing waits, and a second look, longer after than a gauge's age, finds no more."""
    time.sleep(1.5)
    return read(service) == metrics


class Table:
    """Redrawn in place on a terminal, whatever its size; a line each time elsewhere."""

    HEAD = ("event type", "received", "stored", "duplicates", "dead", "waiting", "per second")
    # What is left out first where the terminal is narrow.
    LEAST_NEEDED = ("per second", "duplicates", "dead", "stored")

    def __init__(self, metrics):
        self.last = (time.monotonic(), metrics["received"])
        # How long each line is that stands on the screen.
        self.drawn = []

    def draw(self, metrics):
        now = time.monotonic()
        if not metrics["known"]:
            return
        (then, before), self.last = self.last, (now, metrics["received"])
        rates = {kind: (n - before[kind]) / (now - then) for kind, n in metrics["received"].items()}
        if TERMINAL:
            self.redraw(metrics, rates)
        else:
            print(self.line(metrics, rates), flush=True)

    def redraw(self, metrics, rates):
        width, height = terminal_size()
        lines = self.fitting(metrics, rates, width, height)
        # A terminal that became narrower has wrapped the lines that stand there.
        rows = sum(max(1, math.ceil(length / width)) for length in self.drawn)
        back = f"\x1b[{rows}A\r\x1b[J" if rows else ""
        sys.stdout.write(back + "\n".join(lines) + "\n")
        sys.stdout.flush()
        self.drawn = [visible_length(line) for line in lines]

    def fitting(self, metrics, rates, width, height):
        """The table with as many columns as fit; one line where not even its lines do."""
        # The last cell stays free: a cursor behind it is in the next line on some terminals.
        width -= 1
        table = self.table(metrics, rates)
        if len(table) >= height:
            return [self.line(metrics, rates)[:width]]
        for left_out in range(len(self.LEAST_NEEDED) + 1):
            wanted = [name not in self.LEAST_NEEDED[:left_out] for name in self.HEAD]
            lines = columns([tuple(itertools.compress(row, wanted)) for row in table], width)
            if max(map(visible_length, lines)) < width:
                break
        return lines

    @staticmethod
    def counts(metrics, kinds):
        return [sum(metrics[column][kind] for kind in kinds)
                for column in ("received", "stored", "duplicates", "dead", "waiting")]

    def table(self, metrics, rates):
        table = [self.HEAD]
        for kind in TYPES:
            table.append((kind, *self.counts(metrics, [kind]), f"{rates.get(kind, 0):.0f}"))
        table.append(("journal", "", "", "", "", metrics["waiting"]["journal"], ""))
        table.append(("all", *self.counts(metrics, (*TYPES, "journal")), f"{sum(rates.values()):.0f}"))
        return table

    def line(self, metrics, rates):
        received, stored, duplicates, dead, waits = self.counts(metrics, (*TYPES, "journal"))
        return (f"{time.strftime('%H:%M:%S')}  received {received}  stored {stored}  duplicates {duplicates}  "
                f"dead {dead}  waiting {waits}  {sum(rates.values()):.0f}/s")


def rows(service):
    """(type, status) -> rows of the generic log in the database."""
    url = service.environment["IGSTREAM__DATABASE__URL"]
    if not url.startswith("sqlite:"):
        return collections.Counter()
    path = url.removeprefix("sqlite://").removeprefix("sqlite:").partition("?")[0]
    if not os.path.exists(path):
        return collections.Counter()
    database = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        # A service is ready before its database is: deliveries are safe in the journal.
        if not database.execute("SELECT 1 FROM sqlite_master WHERE name = 'instagram_webhook_events'").fetchone():
            return collections.Counter()
        counted = database.execute(
            "SELECT event_type, status, count(*) FROM instagram_webhook_events GROUP BY event_type, status")
        return collections.Counter({(kind, status): n for kind, status, n in counted})
    except sqlite3.Error as error:
        raise Failed(f"the database {path} cannot be read: {error}") from error
    finally:
        database.close()


def report(ledger, stored):
    """What was sent, as the simulator's ledger has it, against what is in the database."""
    sent, retried = read_ledger(ledger)
    table = [("event type", "sent new", "stored", "again", "duplicates", "malformed", "dead", "")]
    agree = True
    for kind in TYPES:
        pairs = [(sent[kind, status], stored[kind, status]) for status in ("stored", "duplicate", "dead")]
        # A delivery whose answer was lost was posted again: it may be there once more, as a duplicate.
        good = all(a == b for a, b in pairs) or (pairs[0][0] == pairs[0][1] and retried[kind] > 0)
        agree &= good
        table.append((kind, *(n for pair in pairs for n in pair), style("32", "✓") if good else style("31", "✗")))
    print("\nSent, by the simulator's ledger, and stored, by the database:\n")
    print("\n".join(columns(table)))
    print(f"\n{style('32', 'Nothing lost, nothing twice.') if agree else style('31', 'They differ.')}")
    if not agree:
        print(f"The ledger is {ledger}; the service's log is {HOME / 'igstream.log'}")


def read_ledger(path):
    sent, retried = collections.Counter(), collections.Counter()
    with open(path, encoding="utf-8") as lines:
        for line in map(json.loads, lines):
            if line["status"] == 200:
                sent[line["type"], line["expectation"]] += 1
                retried[line["type"]] += bool(line.get("retried"))
    return sent, retried


def reach(service):
    settings = service.environment
    binary = shown(service.binary)
    nats_pid = json.loads((service.nats_dir / "server.json").read_text())["pid"]
    print(f"""
Where things are
  webhook   {service.webhook}
  metrics   {service.metrics}
  API       {service.url}/docs
  NATS      nats://{settings['IGSTREAM__NATS__LISTEN']}  (subjects instagram.events.> and instagram.stored.>)
  database  {shown(HOME / 'igstream.db')}
  log       {shown(service.log)}

To try in another terminal
  curl -s {service.url}/readyz
  env $(cat {shown(HOME / 'env')}) {binary} simulate --url {service.webhook} --count 200 --rate 0
  export IGSTREAM_TOKEN=$(env $(cat {shown(HOME / 'env')}) {binary} token --accounts '*' --scope webhooks:read,webhooks:write)
  curl -s -H "Authorization: Bearer $IGSTREAM_TOKEN" {service.url}/api/instagram/accounts
  kill -9 {nats_pid}    # the NATS server: it is started again, and nothing that was answered 200 is lost
""", flush=True)


def shown(path):
    path = pathlib.Path(path)
    return path.relative_to(pathlib.Path.cwd()) if path.is_relative_to(pathlib.Path.cwd()) else path


def columns(table, width=None):
    """Lines of a table whose first row is the head: the first column to the left, the rest to the right."""
    texts = [[f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in row] for row in table]
    widths = [max(len(row[i]) for row in texts if "\x1b" not in row[i]) for i in range(len(table[0]))]
    lines = []
    for row in texts:
        cells = [row[0].ljust(widths[0])] + [cell.rjust(width) for cell, width in zip(row[1:], widths[1:])]
        lines.append(("  " + "  ".join(cells).rstrip())[:width])
    lines[0] = style("1", lines[0])
    return lines


def visible_length(line):
    return len(re.sub(r"\x1b\[\d*m", "", line))


def terminal_size():
    """As it is now: COLUMNS and LINES, which win elsewhere, do not change with it."""
    try:
        size = os.get_terminal_size(sys.stdout.fileno())
    except OSError:
        return 80, 24
    return size.columns or 80, size.lines or 24


def style(code, text):
    return f"\x1b[{code}m{text}\x1b[0m" if TERMINAL and not os.environ.get("NO_COLOR") else text


if __name__ == "__main__":
    main()
