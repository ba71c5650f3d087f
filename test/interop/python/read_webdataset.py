"""Reads every shard of a folder with the webdataset package, as a trainer would, and prints one JSON line a
sample: its key and the SHA-256 of each field, under the field's extension."""

import glob
import hashlib
import json
import os
import sys

import webdataset as wds

shards = sorted(glob.glob(os.path.join(sys.argv[1], "**", "*.tar"), recursive=True))
if not shards:
    sys.exit("no shard under " + sys.argv[1])
for sample in wds.WebDataset(shards, shardshuffle=False, empty_check=False):
    fields = {k: hashlib.sha256(v).hexdigest() for k, v in sample.items() if not k.startswith("__")}
    print(json.dumps({"key": sample["__key__"], "fields": fields}, ensure_ascii=True))
