# SPDX-License-Identifier: Apache-2.0
"""kinds_alone.py TRACE: prints exchanges and attention backwards with the times it takes in overlapped pairs and in chunks
that nothing overlaps, as the trace's chunks tell them apart."""

import collections
import json
import sys

found = collections.defaultdict(set)
for event in json.load(open(sys.argv[1]))["traceEvents"]:
    chunk = event.get("args", {}).get("chunk")
    name = event.get("name", "")
    if event["ph"] == "X" and chunk and name.startswith(("dispatch", "combine", "attn_moe_B")):
        found[name, "pair" if "+" in chunk else "alone"].add(round(event["dur"], 3))
for (name, where), times in sorted(found.items()):
    print(name, where, *sorted(times))
