"""Verify streams of a turnlog log, given as JSON lines: blobs, then events in order of version."""

import json
import re
import struct
import sys
from hashlib import sha256
from uuid import UUID

BLOB = re.compile(r'\{"_type":"blob","_value":\{"sha256":"([0-9a-f]{64})"')


def uuid_bytes(text):
    return b"\x01" + UUID(text).bytes if text else bytes(17)


blobs = set()
heads = {}
for line in sys.stdin:
    e = json.loads(line)
    if "blob" in e:
        blobs.add(sha256(bytes.fromhex(e["blob"])).hexdigest())
        continue
    version, previous = heads.get(e["stream_id"], (0, bytes(32)))
    digest, kind, metadata = bytes.fromhex(e["digest"]), e["type"].encode(), e["metadata"].encode()
    fixed = struct.pack(">qqqh", e["stream_id"], e["version"], e["recorded_at"], e["schema"])
    ids = uuid_bytes(e["turn_id"]) + uuid_bytes(e["actor_id"])
    texts = struct.pack(">H", len(kind)) + kind + struct.pack(">I", len(metadata)) + metadata
    hash_ = sha256(b"turnlog event v1\n" + previous + fixed + ids + digest + texts).digest()
    erased = e["payload"] is None and e["salt"] is None
    if not erased and sha256(bytes.fromhex(e["salt"]) + e["payload"].encode()).digest() != digest:
        sys.exit(f"conversation {e['stream_id']}, version {e['version']}: another payload")
    if e["version"] != version + 1 or hash_ != bytes.fromhex(e["hash"]):
        sys.exit(f"conversation {e['stream_id']}, version {e['version']}: the chain is broken")
    if not set(BLOB.findall(e["payload"] or "")) <= blobs:
        sys.exit(f"conversation {e['stream_id']}, version {e['version']}: a blob is missing")
    heads[e["stream_id"]] = e["version"], hash_
for stream_id, (version, hash_) in heads.items():
    sys.stdout.write(f"conversation {stream_id}: {version} events, head {hash_.hex()}\n")
