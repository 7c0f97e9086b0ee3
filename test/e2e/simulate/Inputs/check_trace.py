# SPDX-License-Identifier: Apache-2.0
"""check_trace.py TRACE [--twins]: checks what Perfetto checks of a Chrome trace when it opens one: known kinds of events, named
processes and tracks with numbers that it does not misread, slices of a track in the order of time that nest or are apart, arrows
whose ends lie within slices, the first no later than the second, each with a number of its own. Prints how many of each there are.

--twins: the trace holds measured ranks and the predicted ones, and both did the same things in the same order. Prints besides
whether communication runs beside computing in the predicted set."""

import json
import re
import sys

METADATA = ("process_name", "process_sort_index", "thread_name", "thread_sort_index")
COMPUTES = ("forward", "backward", "input gradient", "weight gradient", "pair", "optimizer")
CATEGORIES = (*COMPUTES, "communication", "memory", "wait")


def ns(microseconds):
    return round(microseconds * 1000)


def check(condition, event):
    if not condition:
        sys.exit(f"refused: {event}")


def refuse(constant):
    sys.exit(f"refused: {constant} is no JSON")


def unique(pairs):
    check(len(dict(pairs)) == len(pairs), pairs)
    return dict(pairs)


class Trace:
    def __init__(self, path):
        with open(path, encoding="utf-8") as file:
            trace = json.load(file, parse_constant=refuse, object_pairs_hook=unique)
        assert set(trace) == {"traceEvents"}
        # By number: of a process its name; of a track (process, number) its name and its slices, (start, end, event).
        self.processes, self.tracks, self.slices, self.starts, self.ends = {}, {}, {}, {}, {}
        for event in trace["traceEvents"]:
            check(event["pid"] > 0 and event["tid"] > 0, event)
            {"M": self.metadata, "X": self.slice, "s": self.arrow, "f": self.arrow}[event["ph"]](event)
        check(self.processes and self.slices, "an empty trace")
        for of_track in self.slices.values():
            check_slices(of_track)
        check(self.starts.keys() == self.ends.keys(), "an arrow without an end")
        for number, (at, category, name, _) in self.starts.items():
            check(at <= self.ends[number][0] and (category, name) == self.ends[number][1:3], number)

    def metadata(self, event):
        check(event["name"] in METADATA, event)
        if event["name"] == "process_name":
            check(event["args"]["name"] and event["pid"] not in self.processes, event)
            check(event["args"]["name"] not in self.processes.values(), event)
            self.processes[event["pid"]] = event["args"]["name"]
        if event["name"] == "thread_name":
            check(event["args"]["name"] and event["tid"] not in [tid for _, tid in self.tracks], event)
            check(event["tid"] not in self.processes, event)
            self.tracks[event["pid"], event["tid"]] = event["args"]["name"]

    def slice(self, event):
        place = event["pid"], event["tid"]
        check(event["name"] and event["cat"] in CATEGORIES, event)
        check(place in self.tracks and event["pid"] in self.processes, event)
        check(event["ts"] >= 0 and event["dur"] >= 0, event)
        start = ns(event["ts"])
        self.slices.setdefault(place, []).append((start, start + ns(event["dur"]), event))

    def arrow(self, event):
        # An arrow's end is looked up in the slices that came before it.
        check(isinstance(event["id"], int) and (event["ph"] == "s" or event["bp"] == "e"), event)
        at, side = ns(event["ts"]), self.starts if event["ph"] == "s" else self.ends
        check(any(start <= at < end for start, end, _ in self.slices[event["pid"], event["tid"]]), event)
        check(event["id"] not in side, event)
        side[event["id"]] = (at, event["cat"], event["name"], event["pid"])

    def tracks_of(self, process):
        return {name: self.slices.get(place, []) for place, name in self.tracks.items() if place[0] == process}


def check_slices(slices):
    """Slices of one track: in the order of their beginnings, each ends before the next begins, or holds it."""
    check(all(a[0] <= b[0] for a, b in zip(slices, slices[1:])), "a track whose slices are not in the order of time")
    open_ends = []
    for start, end, event in sorted(slices, key=lambda s: (s[0], -s[1])):
        while open_ends and open_ends[-1] <= start:
            open_ends.pop()
        check(not open_ends or end <= open_ends[-1], event)
        open_ends.append(end)


def check_twins(trace):
    """What a measured rank did is what was predicted of it, waiting apart."""

    def did(tracks):
        events = {name: [s[2] for s in slices if s[2]["cat"] != "wait"] for name, slices in tracks.items()}
        return {name: [(e["name"], e["cat"], e.get("args")) for e in of_track] for name, of_track in events.items()}

    predicted, replicas, measured = {}, 1, {}
    for number, name in trace.processes.items():
        if match := re.fullmatch(r"predicted: ranks? (\d+)(?:-(\d+))?", name):
            first, last = int(match[1]), int(match[2] or match[1])
            replicas = last - first + 1
            predicted.update({rank: number for rank in range(first, last + 1)})
        else:
            measured[int(re.fullmatch(r"measured: rank (\d+)", name)[1])] = number
    check(predicted.keys() == measured.keys(), "other ranks measured than predicted")
    for rank, number in measured.items():
        check(did(trace.tracks_of(number)) == did(trace.tracks_of(predicted[rank])), f"rank {rank}: not what was predicted")
    arrows = [start[3] in measured.values() for start in trace.starts.values()]
    check(sum(arrows) == replicas * (len(arrows) - sum(arrows)) > 0, "other arrows measured than predicted")
    print("beside computing:", " ".join(sorted(set().union(*(beside(trace.tracks_of(p)) for p in predicted.values())))))


def beside(tracks):
    """Tracks whose communication lies within some computing of another one."""
    work = [(s[0], s[1]) for slices in tracks.values() for s in slices if s[2]["cat"] in COMPUTES]
    talk = [(name, s) for name, slices in tracks.items() for s in slices if s[2]["cat"] == "communication"]
    return {name for name, (start, end, _) in talk if any(start < b and a < end for a, b in work)}


def main():
    trace = Trace(sys.argv[1])
    counts = f"{len(trace.tracks)} tracks, {sum(map(len, trace.slices.values()))} slices, {len(trace.starts)} arrows"
    print(f"{len(trace.processes)} processes, {counts}")
    for name in sorted(trace.processes.values()):
        print("process", name)
    if "--twins" in sys.argv[2:]:
        check_twins(trace)


main()
