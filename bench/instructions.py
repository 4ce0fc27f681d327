#!/usr/bin/env python3
"""How many instructions a lookup (a plan of 10 sources, authenticated) takes in the tracker, counted by callgrind: exact on any machine,
however busy, where requests a second move by 15 % and more. What the kernel does is not counted.

usage: bench/instructions.py [TRACKER [COMMIT]]      e.g. bench/instructions.py target/release/peernet-tracker
COMMIT is what TRACKER was built of, by default the one that is checked out.
Writes one record to bench/runs/ and the functions that take most to the standard output. Needs valgrind.
"""

import base64
import hashlib
import http.client
import json
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
TRACKER = sys.argv[1] if len(sys.argv) > 1 else str(HERE.parent / "target/release/peernet-tracker")
COMMIT = sys.argv[2] if len(sys.argv) > 2 else None
LOOKUPS, SOURCES, WARM_UP, SHOWN = 1500, 12, 50, 25


def listening(log):
    """The port that the tracker picked, from its log."""
    said = []
    for line in log:
        said.append(line)
        found = re.search(r"listening on http://127\.0\.0\.1:(\d+)", line)
        if found:
            return int(found.group(1))
    sys.exit("the tracker did not start:\n" + "".join(said))


class Client:
    def __init__(self, port):
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)

    def ask(self, method, path, body=None, token=None):
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        if body is not None:
            headers["Content-Type"] = "application/json"
        self.connection.request(method, path, None if body is None else json.dumps(body), headers)
        answer = self.connection.getresponse()
        text = answer.read()
        if answer.status >= 300:
            sys.exit(f"{method} {path}: {answer.status} {text.decode()}")
        return json.loads(text) if text else None


def share(client):
    """A file that SOURCES accounts hold; its path and the last one's token."""
    file_hash, size, chunk_size, hashes = hashlib.sha256(b"bench").hexdigest(), 64 << 20, 1 << 20, b"\7" * 32 * 64
    geometry = size.to_bytes(8, "big") + chunk_size.to_bytes(4, "big")
    manifest_id = hashlib.sha256(b"peernet-manifest-v1\0" + bytes.fromhex(file_hash) + geometry + hashes).hexdigest()
    manifest = {"file_hash": file_hash, "file_name": "bench.bin", "size": size, "chunk_size": chunk_size,
                "chunk_hashes": base64.b64encode(hashes).decode()}
    token = None
    for source in range(SOURCES):
        address = f"10.0.0.{source}:5000"
        token = client.ask("POST", "/api/v1/peers/register", {"address": address, "password": "bench-password"})["token"]
        client.ask("PUT", f"/api/v1/manifests/{manifest_id}", manifest, token)
        held = {"file_hash": file_hash, "manifest_id": manifest_id, "have": "complete"}
        client.ask("POST", "/api/v1/swarm/announce", {"address": address, "files": [held]}, token)
    return f"/api/v1/files/{file_hash}", token


def measure(folder):
    counted = folder / "callgrind.out"
    tracker = subprocess.Popen(
        ["valgrind", "--tool=callgrind", "--instr-atstart=no", f"--callgrind-out-file={counted}", TRACKER,
         "--listen", "127.0.0.1:0", "--data-dir", str(folder / "data"), "--ops-listen", "off", "--bcrypt-cost", "4",
         "--rate-per-account", "0", "--rate-per-address", "0"],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        client = Client(listening(tracker.stdout))
        path, token = share(client)
        for _ in range(WARM_UP):
            client.ask("GET", path, None, token)
        switch = lambda to: subprocess.run(["callgrind_control", "-i", to, str(tracker.pid)], check=True, stdout=subprocess.DEVNULL)
        switch("on")
        for _ in range(LOOKUPS):
            client.ask("GET", path, None, token)
        switch("off")
    finally:
        tracker.send_signal(signal.SIGTERM)
        tracker.communicate()
    return counted


def main():
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        counted = measure(folder)
        report = subprocess.run(["callgrind_annotate", "--inclusive=yes", str(counted)], capture_output=True, text=True, check=True).stdout
        total = int(re.search(r"([\d,]+) .*PROGRAM TOTALS", report).group(1).replace(",", ""))
    print("\n".join(re.findall(r"^ *[\d,]+ .*:.*tracker.*$", report, re.M)[:SHOWN]))
    head = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=HERE, capture_output=True, text=True).stdout.strip()
    record = {"who": "lookup (plan)", "lookups": LOOKUPS, "instructions": round(total / LOOKUPS), "commit": COMMIT or head}
    (HERE / "runs" / f"instructions-{int(time.time())}.jsonl").write_text(json.dumps(record) + "\n")
    print(json.dumps(record))


if __name__ == "__main__":
    main()
