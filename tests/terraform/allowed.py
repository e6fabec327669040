"""Whether the policies of terraform/modules/access are enough, and no more than is asked for.

A door in front of a store lets only those requests through that a policy allows, as S3 would, and notes what they were:
`allowed.py POLICY BUCKET STORE` prints its address, and at SIGTERM what was used and what was refused, as JSON.

What it knows of S3: which action a request needs, that parts of uploads are PutObject, and that a missing object is forbidden to those
who may not list. Of conditions it knows StringLikeIfExists on s3:prefix, which is all that the policies have.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import sys
import threading
import urllib.parse
from fnmatch import fnmatchcase
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

HOP_HEADERS = {"connection", "keep-alive", "transfer-encoding"}
FORBIDDEN = b'<?xml version="1.0"?><Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>'


class Policy:
    """A policy document."""

    def __init__(self, document: dict) -> None:
        self.statements = document["Statement"]

    def allows(self, action: str, resource: str, context: dict[str, str]) -> bool:
        return any(self.covers(statement, action, resource, context) for statement in self.statements)

    @staticmethod
    def covers(statement: dict, action: str, resource: str, context: dict[str, str]) -> bool:
        if statement["Effect"] != "Allow" or not any(fnmatchcase(action, allowed) for allowed in statement["Action"]):
            return False
        if not any(fnmatchcase(resource, pattern.replace("[", "[[]")) for pattern in statement["Resource"]):
            return False
        for operator, tests in statement.get("Condition", {}).items():
            if operator not in ("StringLike", "StringLikeIfExists"):
                raise ValueError(f"the condition {operator} is not known here")
            for key, patterns in tests.items():
                given = context.get(key)
                if given is None and operator.endswith("IfExists"):
                    continue
                if given is None or not any(fnmatchcase(given, pattern) for pattern in patterns):
                    return False
        return True


def action_of(method: str, key: str, query: dict[str, str]) -> str:
    """The action that S3 wants for a request."""
    if not key:
        return "s3:ListBucket" if method in ("GET", "HEAD") else f"s3:{method}Bucket"
    if method == "DELETE":
        return "s3:AbortMultipartUpload" if "uploadId" in query else "s3:DeleteObject"
    if method in ("PUT", "POST"):
        return "s3:PutObject"
    return "s3:GetObject"


class Door(ThreadingHTTPServer):
    """The way to a store."""

    daemon_threads = True

    def __init__(self, policy: Policy, bucket: str, store: str) -> None:
        super().__init__(("127.0.0.1", 0), Request)
        self.policy, self.bucket = policy, bucket
        self.store = urllib.parse.urlsplit(store)
        self.lock = threading.Lock()
        self.used: set[tuple[str, str]] = set()
        self.refused: set[tuple[str, str]] = set()

    def judge(self, method: str, target: str, body: bytes) -> tuple[bool, bool]:
        """Whether a request is let through, and whether a missing object may be called missing."""
        path, _, text = target.partition("?")
        query = dict(urllib.parse.parse_qsl(text, keep_blank_values=True))
        _, bucket, *rest = urllib.parse.unquote(path).split("/", 2)
        key = rest[0] if rest else ""
        arn = f"arn:aws:s3:::{bucket}"
        context = {"s3:prefix": query["prefix"]} if "prefix" in query else {}
        if method == "POST" and not key and "delete" in query:
            # Many objects in one request, each judged by itself.
            asked = [("s3:DeleteObject", name) for name in re.findall(r"<Key>(.*?)</Key>", body.decode())]
        else:
            asked = [(action_of(method, key, query), key)]
        judged = [bucket == self.bucket and self.policy.allows(action, f"{arn}/{name}" if name else arn, context) for action, name in asked]
        with self.lock:
            for what, allowed in zip(asked, judged):
                (self.used if allowed else self.refused).add(what)
        return bool(judged) and all(judged), self.policy.allows("s3:ListBucket", arn, {})

    def told(self) -> dict[str, list]:
        """What was used and what was refused."""
        with self.lock:
            return {"used": sorted(self.used), "refused": sorted(self.refused)}


class Request(BaseHTTPRequestHandler):
    """One connection of the store's client."""

    protocol_version = "HTTP/1.1"
    server: Door

    def log_message(self, *arguments) -> None:
        """Says nothing: what was asked is told at the end."""

    def handle_any(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        allowed, may_list = self.server.judge(self.command, self.path, body)
        if not allowed:
            return self.answer(403, {}, FORBIDDEN)
        upstream = http.client.HTTPConnection(self.server.store.hostname, self.server.store.port, timeout=30)
        upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            upstream.putheader(name, value)
        upstream.endheaders(body)
        answer = upstream.getresponse()
        content = answer.read()
        status = answer.status
        headers = {name: value for name, value in answer.getheaders() if name.lower() not in HOP_HEADERS}
        upstream.close()
        if status == 404 and not may_list:
            return self.answer(403, {}, FORBIDDEN)
        return self.answer(status, headers, content)

    def answer(self, status: int, headers: dict[str, str], content: bytes) -> None:
        self.send_response_only(status)
        length = headers.pop("Content-Length", None) if self.command == "HEAD" else None
        for name, value in headers.items():
            if name.lower() != "content-length":
                self.send_header(name, value)
        self.send_header("Content-Length", length or str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = handle_any


def main() -> None:
    door = Door(Policy(json.loads(Path(sys.argv[1]).read_text())), sys.argv[2], sys.argv[3])
    # Waited for, and kept from every thread: a handler runs in the main thread alone, which a signal to another one does not wake.
    ends = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, ends)
    threading.Thread(target=door.serve_forever, daemon=True).start()
    print(f"http://127.0.0.1:{door.server_port}", flush=True)
    signal.sigwait(ends)
    print(json.dumps(door.told()), flush=True)
    # Threads may still hold connections; nothing of theirs is to be waited for.
    os._exit(0)


if __name__ == "__main__":
    main()
