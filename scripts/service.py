"""Starts, watches and stops an igstream, for the demo and the tests. Python's standard library only."""

import fcntl
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent

# What listens here is never behind a proxy.
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Failed(Exception):
    """What went wrong, in words for the person who started it."""


def built(profile="debug"):
    """Where cargo puts the binary."""
    return ROOT / os.environ.get("CARGO_TARGET_DIR", "target") / profile / "igstream"


def http_get(url, timeout=2):
    """The status and the text of an answer; OSError if there is none."""
    try:
        with _opener.open(url, timeout=timeout) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode(errors="replace")


def free_address():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


def is_free(address):
    host, _, port = address.rpartition(":")
    with socket.socket(socket.AF_INET6 if host.startswith("[") else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host.strip("[]"), int(port)))
        except OSError:
            return False
    return True


def tail(path, lines=15):
    try:
        text = pathlib.Path(path).read_text(errors="replace")
    except OSError:
        return ""
    return "\n".join(text.rstrip().splitlines()[-lines:])


def in_use(nats_dir):
    """Whether a living igstream holds this nats.data_dir."""
    try:
        with open(nats_dir / "igstream.lock") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def stop_orphan(nats_dir):
    """Ends the nats-server that a killed igstream left on this nats.data_dir, if there is one."""
    try:
        pid = json.loads((nats_dir / "server.json").read_text())["pid"]
        arguments = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        # The number may be another process's by now.
        if os.fsencode(f"--store_dir={nats_dir.resolve()}") in arguments:
            os.kill(pid, signal.SIGKILL)
    except (OSError, ValueError, KeyError):
        pass


class Service:
    """`igstream serve --demo` with all its data under one directory."""

    def __init__(self, binary, home, environment):
        self.binary = pathlib.Path(binary)
        self.home = pathlib.Path(home)
        self.log = self.home / "igstream.log"
        self.nats_dir = pathlib.Path(environment["IGSTREAM__NATS__DATA_DIR"])
        self.environment = {**os.environ, **environment, "NO_PROXY": "127.0.0.1,localhost"}
        self.url = f"http://{environment['IGSTREAM__SERVER__BIND']}"
        self.webhook = f"{self.url}/api/instagram/webhooks"
        self.metrics = f"http://{environment['IGSTREAM__METRICS__BIND']}/metrics"
        self.process = None

    def start(self):
        self.process = self.spawn(["serve", "--demo"], self.log)

    def spawn(self, arguments, log, **options):
        """Runs a command of igstream apart from the terminal, so that Ctrl-C is ours to pass on in good order."""
        with open(log, "ab") as output:
            options = {"stdout": output, **options}
            try:
                return subprocess.Popen(
                    [self.binary, *arguments], cwd=ROOT, env=self.environment, stdin=subprocess.DEVNULL,
                    stderr=output, start_new_session=True, **options,
                )
            except OSError as error:
                raise Failed(f"{self.binary} cannot be run ({error.strerror}): `cargo build` makes it") from error

    def runs(self):
        return self.process is not None and self.process.poll() is None

    def check(self):
        """Fails if the service has ended."""
        status = self.process.poll()
        if status is not None:
            how = f"killed by {signal.Signals(-status).name}" if status < 0 else f"status {status}"
            raise Failed(f"igstream serve ended ({how}); its log ({self.log}) ends with\n{tail(self.log)}")

    def wait_until_ready(self, seconds=60):
        until = time.monotonic() + seconds
        answer = "none"
        while time.monotonic() < until:
            self.check()
            try:
                status, answer = http_get(f"{self.url}/readyz")
                if status == 200:
                    return
            except OSError:
                pass
            time.sleep(0.05)
        raise Failed(
            f"igstream serve was not ready after {seconds} s; the last answer of /readyz: {answer.strip()}\n"
            f"its log ({self.log}) ends with\n{tail(self.log)}"
        )

    def stop(self, seconds=12):
        """Asks it to end; kills it, and the nats-server it would leave, if it does not. Returns its exit status."""
        if self.process is None:
            return None
        status = end(self.process, seconds)
        if status != 0:
            stop_orphan(self.nats_dir)
        return status

    def read_metrics(self):
        return parse_metrics(http_get(self.metrics)[1])


def end(process, seconds):
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


_sample = re.compile(r'^(\w+)(?:\{(.*)\})? (\S+)$', re.MULTILINE)
_label = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


def parse_metrics(text):
    """Prometheus text: name -> value of the label event_type (None without one) -> sum."""
    metrics = {}
    for name, labels, value in _sample.findall(text):
        event_type = dict(_label.findall(labels)).get("event_type")
        series = metrics.setdefault(name, {})
        series[event_type] = series.get(event_type, 0.0) + float(value)
    return metrics
