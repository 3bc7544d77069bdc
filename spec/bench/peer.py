"""The peer of the bench: the same work in plain Python 3 with requests, json and sqlite3.

Written as one would write it to be fast without leaving the standard tools: one Session, prepared statements (sqlite3
caches them), one transaction and one write per page, encoder and patterns made once, bound names in the hot loop.
One SELECT and executemany per page instead of single INSERTs was measured and is no faster.
What it does less than `defendis ingest`: no retries, no limits, no ledger, and its correlation lives in memory, so that
a crash loses it. What both do: the file is synced before each commit, WAL with synchronous=FULL, same cache and
checkpoint sizes.

Usage: peer.py FOLDER PAGE_SIZE SINCE UNTIL WINDOW_DAYS DOMAIN...
Reads DEFENDIS_BASE_URL and DEFENDIS_API_KEY; writes FOLDER/{out.jsonl,findings.jsonl,state.db}.
"""
import json
import os
import re
import sqlite3
import sys
from collections import deque
from datetime import date, datetime, timedelta

import requests

SEVERITY = {"low": (2, "Low"), "medium": (3, "Medium"), "high": (4, "High"), "critical": (5, "Critical")}
UNKNOWN = (0, "Unknown")
CONFIDENCE = {"stealer": (3, "High"), "breach": (2, "Medium"), "combolist": (1, "Low")}
OS_TYPE = {"Windows": 100, "Linux": 200, "macOS": 300}
URL = re.compile(r"([A-Za-z0-9]+)://([^/]+)").match
DAY_MS = 86400000
LIMIT = 3


def to_ms(text):
    return int(datetime.fromisoformat(text).timestamp() * 1000)


def length_class(text):
    n = len(text)
    return "0" if n == 0 else "1-7" if n < 8 else "8-11" if n < 12 else "12-15" if n < 16 else "16+"


def normalize(r, leaked):
    source, machine, email = r["source"], r.get("infectedMachine"), r["email"]
    severity, confidence = SEVERITY.get(r["severity"], UNKNOWN), CONFIDENCE.get(source["type"], UNKNOWN)
    scheme, host = URL(r["url"]).groups()
    malware = source["malware"]
    observables = [{"type_id": 5, "value": email}, {"type_id": 1, "value": host}]
    doc = {
        "activity_id": 1, "activity_name": "Create", "category_uid": 2, "category_name": "Findings", "class_uid": 2004,
        "class_name": "Detection Finding", "type_uid": 200401, "type_name": "Detection Finding: Create",
        "time": leaked, "start_time": leaked, "status_id": 1, "status": "New", "is_alert": True,
        "severity_id": severity[0], "severity": severity[1],
        "confidence_id": confidence[0], "confidence": confidence[1],
        "message": f"Leaked credential of {email} for {source['name']}",
        "finding_info": {"uid": r["id"], "title": f"Leaked credential of {email}", "created_time": leaked,
            "first_seen_time": leaked, "types": ["Credential leak"], "data_sources": [source["type"]],
            "analytic": {"name": source["name"], "type": "Rule", "type_id": 1}},
        "evidences": [{
            "user": {"name": r["username"], "email_addr": email, "domain": r["domain"], "type_id": 1},
            "url": {"url_string": r["url"], "scheme": scheme, "hostname": host},
            "data": {"cookies": r["cookies"], "log_id": r["logId"], "details": r["details"]},
        }],
        "observables": observables,
        "metadata": {"version": "1.8.0", "original_event_uid": r["id"], "original_time": r["leakedAt"],
            "labels": r["tags"], "log_name": "dataleaks.credentials",
            "product": {"name": "defendis", "vendor_name": "Defendis"}},
        "unmapped": {"source_type": source["type"], "password_length": length_class(r["password"])},
    }
    if machine:
        system = machine["os"]
        doc["device"] = {"type_id": 2, "type": "Desktop", "hostname": machine["hostname"], "ip": machine["ip"],
            "os": {"name": system, "type_id": OS_TYPE.get(system.partition(" ")[0], 0)},
            "owner": {"name": machine["user"]}}
        observables.append({"type_id": 2, "value": machine["ip"]})
    if malware:
        entry = {"name": malware, "classification_ids": [11]}
        if machine:
            entry["path"] = machine["path"]
        doc["malware"] = [entry]
    return doc


class Correlation:
    """Three distinct services per e-mail in (t - 24 h, t], then quiet for 24 h. Records come in event time."""

    def __init__(self):
        self.events, self.fired = {}, {}

    def feed(self, email, at, service, uid):
        events = self.events.get(email)
        if events is None:
            self.events[email] = deque(((at, service, uid),))
            return None
        while events and events[0][0] <= at - DAY_MS:
            events.popleft()
        events.append((at, service, uid))
        if len(events) < LIMIT or at - self.fired.get(email, -DAY_MS) < DAY_MS:
            return None
        count = len({e[1] for e in events})
        if count < LIMIT:
            return None
        self.fired[email] = at
        return {"rule": "bench.three_services", "title": "Three services leaked within a day", "level": "high",
                "time": at, "group": {"email": email}, "count": count, "window": {"from": events[0][0], "to": at},
                "evidence": [{"id": e[2], "time": e[0]} for e in events]}

    def forget(self, before):
        """Drops what cannot count any more, so that memory does not follow the history."""
        self.events = {k: v for k, v in self.events.items() if v[-1][0] > before - DAY_MS}
        self.fired = {k: at for k, at in self.fired.items() if at > before - DAY_MS}


def open_state(path):
    db = sqlite3.connect(path, isolation_level=None)
    db.executescript("""
        PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA cache_size=-8000; PRAGMA wal_autocheckpoint=8000;
        CREATE TABLE IF NOT EXISTS seen(id TEXT PRIMARY KEY) WITHOUT ROWID;
        CREATE TABLE IF NOT EXISTS checkpoint(domain TEXT PRIMARY KEY, since TEXT, page INTEGER);""")
    return db


def main(folder, page_size, since, until, days, *domains):
    session = requests.Session()
    session.headers["Authorization"] = "Bearer " + os.environ["DEFENDIS_API_KEY"]
    url = os.environ["DEFENDIS_BASE_URL"] + "/api/v1/dataleaks/credentials"
    db = open_state(os.path.join(folder, "state.db"))
    out = open(os.path.join(folder, "out.jsonl"), "ab")
    findings = open(os.path.join(folder, "findings.jsonl"), "ab")
    encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), check_circular=False).encode
    correlation = Correlation()

    def handle(records):
        lines, found, execute = [], [], db.execute
        for r in records:
            uid = r["id"]
            if execute("INSERT OR IGNORE INTO seen VALUES(?)", (uid,)).rowcount == 0:
                continue
            leaked = to_ms(r["leakedAt"])
            lines.append(encode(normalize(r, leaked)))
            finding = correlation.feed(r["email"], leaked, r["source"]["name"], uid)
            if finding:
                found.append(encode(finding))
        for file, texts in ((out, lines), (findings, found)):
            if texts:
                texts.append("")
                file.write("\n".join(texts).encode())
                file.flush()
                os.fdatasync(file.fileno())

    start, end, step = date.fromisoformat(since), date.fromisoformat(until), timedelta(days=int(days))
    while start < end:
        stop = min(start + step, end)
        for domain in domains:
            page = 1
            while page:
                answer = session.get(url, timeout=60, params={"domain": domain, "fromDate": start.isoformat(),
                    "toDate": stop.isoformat(), "page": page, "pageSize": page_size})
                answer.raise_for_status()
                body = json.loads(answer.content)
                db.execute("BEGIN IMMEDIATE")
                handle(body["data"])
                page = body["paging"]["nextPage"]
                db.execute("INSERT OR REPLACE INTO checkpoint VALUES(?, ?, ?)", (domain, start.isoformat(), page))
                db.execute("COMMIT")
        correlation.forget(to_ms(stop.isoformat() + "T00:00:00Z"))
        start = stop
    db.close()


main(*sys.argv[1:])
