# SPDX-License-Identifier: Apache-2.0
"""check_trace.py TRACE: checks what Perfetto checks of a Chrome trace when it opens one: known kinds of events, named processes
and tracks with numbers that it does not misread, slices that nest or are apart on their track, arrows whose ends lie within
slices, the first no later than the second, each with a number of its own. Prints how many of each there are."""

import json
import sys


def ns(microseconds):
    return round(microseconds * 1000)


def check(condition, event):
    if not condition:
        sys.exit(f"refused: {event}")


def check_slices(slices):
    """Slices of one track by time: each ends before the next begins, or holds it."""
    open_ends = []
    for start, end, event in sorted(slices, key=lambda s: (s[0], -s[1])):
        while open_ends and open_ends[-1] <= start:
            open_ends.pop()
        check(not open_ends or end <= open_ends[-1], event)
        open_ends.append(end)


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        trace = json.load(file)
    assert set(trace) == {"traceEvents"}
    processes, tracks, slices, starts, ends = {}, {}, {}, {}, {}
    for event in trace["traceEvents"]:
        kind, place = event["ph"], (event["pid"], event["tid"])
        check(event["pid"] > 0 and event["tid"] > 0, event)
        if kind == "M":
            check(event["name"] in ("process_name", "process_sort_index", "thread_name", "thread_sort_index"), event)
            if event["name"] == "process_name":
                check(event["args"]["name"] and event["pid"] not in processes, event)
                processes[event["pid"]] = event["args"]["name"]
            if event["name"] == "thread_name":
                check(event["args"]["name"] and event["tid"] not in [tid for _, tid in tracks], event)
                tracks[place] = event["args"]["name"]
        elif kind == "X":
            check(event["name"] and place in tracks and event["dur"] >= 0, event)
            start = ns(event["ts"])
            slices.setdefault(place, []).append((start, start + ns(event["dur"]), event))
        else:
            # An arrow's end is looked up in the slices that came before it.
            check(kind in "sf" and isinstance(event["id"], int), event)
            at = ns(event["ts"])
            check(any(start <= at < end for start, end, _ in slices[place]), event)
            check(kind == "s" or event["bp"] == "e", event)
            side = starts if kind == "s" else ends
            check(event["id"] not in side, event)
            side[event["id"]] = (at, event["cat"], event["name"])
    for of_track in slices.values():
        check_slices(of_track)
    assert starts.keys() == ends.keys()
    for number, (at, category, name) in starts.items():
        check(at <= ends[number][0] and (category, name) == ends[number][1:], number)
    counts = f"{len(tracks)} tracks, {sum(map(len, slices.values()))} slices, {len(starts)} arrows"
    print(f"{len(processes)} processes, {counts}")
    for name in sorted(processes.values()):
        print("process", name)


main()
