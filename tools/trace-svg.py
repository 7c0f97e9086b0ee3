#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Draws a trace that hadal-run wrote (--trace) as SVG: a row for each rank and stream, time across, slices in the colour of what
they do, numbers of micro-batches where there is room, arrows from sends to receives. Predicted and measured ranks stand in two
panels over one time axis. For pages; to look around in a trace, open it in Perfetto."""

import argparse
import collections
import html
import json
import math
import re
import signal
import sys

MARGIN, TOP = 16, 44  # room at the right, for the title
COMPUTE, NARROW, GAP, PANEL = 20, 9, 7, 26  # heights: of rows, between processes, of a panel's heading
DIGIT, LETTER, SMALL, TICKS = 5.6, 6.8, 6, 90  # widths: of a digit, of letters, between marks of the axis
LEGEND = {
    "F": "forward", "B": "backward", "I": "input gradient", "W": "weight gradient", "U": "optimizer",
    "C": "communication", "M": "memory", "O": "other", "N": "waiting",
}
CLASSES = {
    "forward": "F", "backward": "B", "input gradient": "I", "weight gradient": "W",
    "optimizer": "U", "communication": "C", "memory": "M", "wait": "N",
}
STYLE = """
text { font: 11px system-ui, sans-serif; fill: #24292f; }
.title { font-size: 14px; font-weight: 600; }
.set { font-size: 12px; font-weight: 600; }
.s, .t, .n, .e { font-size: 9.5px; }
.s { text-anchor: end; fill: #57606a; }
.t, .n { text-anchor: middle; }
.n { fill: #14171a; }
.e { fill: #57606a; }
.page { fill: #ffffff; }
.row { fill: #f0f1f3; }
.tick { stroke: #d3d7dc; }
.end { stroke: #57606a; stroke-dasharray: 3 3; }
.a { fill: none; stroke: #24292f; stroke-opacity: 0.45; stroke-width: 0.7; }
.h { fill: #24292f; fill-opacity: 0.65; }
.F { fill: #f6a54c; } .B { fill: #6cbf7a; } .I { fill: #4fbcb7; } .W { fill: #7ba7ef; }
.U { fill: #b59ad8; } .C { fill: #e39ac0; } .M { fill: #9aa3ad; } .O { fill: #cfc48f; } .N { fill: #dadee3; }
@media (prefers-color-scheme: dark) {
text { fill: #d6dbe1; }
.s, .e { fill: #9aa4af; }
.n { fill: #ffffff; }
.page { fill: #0d1117; }
.row { fill: #21262d; }
.tick { stroke: #3d444d; }
.end { stroke: #9aa4af; }
.a { stroke: #e6edf3; }
.h { fill: #e6edf3; }
.F { fill: #b3691b; } .B { fill: #2e8540; } .I { fill: #1b827e; } .W { fill: #3a6fc4; }
.U { fill: #7f5bb0; } .C { fill: #a8487d; } .M { fill: #68727d; } .O { fill: #7d7340; } .N { fill: #343b44; }
}
"""

Slice = collections.namedtuple("Slice", "start end parts number")
Arrow = collections.namedtuple("Arrow", "start source end target")


class Refused(Exception):
    pass


class Process:
    """A rank: its streams by their numbers, in the order that the file asks for."""

    def __init__(self, number):
        self.name, self.order, self.tracks = f"process {number}", (0, number), {}

    def track(self, number):
        return self.tracks.setdefault(number, Track(number))

    @property
    def set(self):
        return self.name.partition(": ")[0] if ": " in self.name else ""

    @property
    def label(self):
        return self.name.partition(": ")[2] or self.name

    def rows(self):
        return sorted((track for track in self.tracks.values() if track.slices), key=lambda track: track.order)


class Track:
    def __init__(self, number):
        self.name, self.order, self.slices, self.top = f"thread {number}", (0, number), [], None

    @property
    def height(self):
        return COMPUTE if self.computes else NARROW

    @property
    def computes(self):
        return any(piece.parts[0] not in "CMN" for piece in self.slices)


def parts_of(event):
    """Colours, one above the other: a pair has two."""
    if event.get("cat") == "pair":
        return tuple(part[0] for part in event["name"].split("+"))
    return (CLASSES.get(event.get("cat", ""), "O"),)


def number_of(event):
    """The micro-batch; of a chunk of an order (F0.3, F1.2+B0.0) its own number."""
    if re.match(r"[FBIW]\d+\.\d", event["name"]):
        return re.sub(r"[FBIW]\d+\.", "", event["name"])
    return event.get("args", {}).get("micro-batch", "")


def read(path):
    """The processes and the arrows of a trace, times in microseconds."""
    try:
        with open(path, encoding="utf-8") as file:
            trace = json.load(file)
        events = trace["traceEvents"] if isinstance(trace, dict) else trace
        return read_events(events)
    except OSError as error:
        raise Refused(f"{path}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Refused(f"{path}: found {error!r}; allowed is a Chrome trace, as hadal-run writes it with --trace") from error


def read_events(events):
    processes, starts, arrows = {}, {}, []
    for event in events:
        kind, pid = event["ph"], event["pid"]
        process = processes.setdefault(pid, Process(pid))
        if kind == "M":
            thing = process.track(event["tid"]) if event["name"].startswith("thread") else process
            if event["name"].endswith("_name"):
                thing.name = event["args"]["name"]
            elif event["name"].endswith("_sort_index"):
                thing.order = (event["args"]["sort_index"], thing.order[1])
        elif kind == "X":
            start = float(event["ts"])
            process.track(event["tid"]).slices.append(Slice(start, start + event["dur"], parts_of(event), number_of(event)))
        elif kind == "s":
            starts[event["id"]] = (float(event["ts"]), process.track(event["tid"]))
        elif kind == "f" and event["id"] in starts:
            arrows.append(Arrow(*starts[event["id"]], float(event["ts"]), process.track(event["tid"])))
    return sorted((p for p in processes.values() if p.rows()), key=lambda p: p.order), arrows


def plain(value, digits=4):
    text = f"{value:.{digits}g}"
    return f"{value:.0f}" if "e" in text else text


class Picture:
    def __init__(self, processes, arrows, title, window, width):
        self.title, self.arrows, self.out = title, arrows, []
        self.panels = {}
        for process in processes:
            self.panels.setdefault(process.set, []).append(process)
        slices = [s for process in processes for track in process.rows() for s in track.slices]
        self.start = min(s.start for s in slices) if window[0] is None else window[0]
        self.stop = max(s.end for s in slices) if window[1] is None else window[1]
        if self.stop <= self.start:
            self.refuse()
        self.ends = {name: max(s.end for p in panel for t in p.rows() for s in t.slices) for name, panel in self.panels.items()}
        self.cut(processes)
        rows = [(LETTER * len(process.label), SMALL * len(track.name)) for process in processes for track in process.rows()]
        self.left = 8 + max(label for label, _ in rows) + 10 + max(name for _, name in rows) + 6
        self.whole = width
        self.scale = (width - self.left - MARGIN) / (self.stop - self.start)
        self.unit, self.divisor = next(u for u in (("s", 1e6), ("ms", 1e3), ("us", 1)) if self.stop >= 2 * u[1] or u[1] == 1)
        self.used = set()

    def refuse(self):
        raise Refused(f"--from, --to: from {plain(self.start)} to {plain(self.stop)} us nothing happens")

    def cut(self, processes):
        """Leaves what is in the window; streams that have nothing there get no row."""
        for process in processes:
            for track in process.tracks.values():
                track.slices = [s for s in track.slices if s.end > self.start and s.start < self.stop]
        self.panels = {name: [process for process in panel if process.rows()] for name, panel in self.panels.items()}
        self.panels = {name: panel for name, panel in self.panels.items() if panel}
        if not self.panels:
            self.refuse()

    def x(self, time):
        return self.left + (min(max(time, self.start), self.stop) - self.start) * self.scale

    def add(self, text):
        self.out.append(text)

    def text(self, kind, x, y, text):
        self.add(f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}">{html.escape(text)}</text>')

    def lay_out(self):
        """Gives each row its place; returns where the axis begins."""
        y = TOP
        for name, processes in self.panels.items():
            y += PANEL if name else 0
            for process in processes:
                for track in process.rows():
                    track.top = y
                    y += track.height + 1
                y += GAP
        return y

    def draw(self):
        bottom = self.lay_out()
        self.axis(bottom)
        for name, processes in self.panels.items():
            self.panel(name, processes)
        self.draw_arrows()
        height = self.legend(bottom + 40) + 12
        size = f'width="{self.whole}" height="{height}" viewBox="0 0 {self.whole} {height}"'
        head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">\n<title>{html.escape(self.title)}</title>\n<style>{STYLE}</style>'
        page = f'<rect class="page" width="100%" height="100%"/>\n<text class="title" x="8" y="22">{html.escape(self.title)}</text>'
        return "\n".join([head, page, *self.out, "</svg>"]) + "\n"

    def axis(self, bottom):
        span = TICKS / self.scale / self.divisor
        power = 10 ** math.floor(math.log10(span))
        step = next(f * power for f in (1, 2, 5, 10) if f * power >= span)
        first, last = math.ceil(self.start / self.divisor / step - 1e-9), math.floor(self.stop / self.divisor / step + 1e-9)
        for i in range(first, last + 1):
            x = self.x(i * step * self.divisor)
            self.add(f'<path class="tick" d="M{x:.1f} {TOP - 6}V{bottom + 4}"/>')
            self.text("t", x, bottom + 16, plain(i * step) + (f" {self.unit}" if i == first else ""))

    def panel(self, name, processes):
        rows = [track for process in processes for track in process.rows()]
        if name:
            self.text("set", 8, rows[0].top - 8, name)
        for process in processes:
            tracks = process.rows()
            self.text("", 8, tracks[0].top + min(tracks[0].height, COMPUTE) / 2 + 4, process.label)
            for track in tracks:
                self.row(track)
        self.mark_end(rows, self.ends[name])

    def mark_end(self, rows, end):
        """The panel's last moment, if it is in the window."""
        if not self.start < end <= self.stop:
            return
        x, top, bottom = self.x(end), rows[0].top, rows[-1].top + rows[-1].height
        self.add(f'<path class="end" d="M{x:.1f} {top - 14}V{bottom}"/>')
        before = x + 60 > self.whole
        self.text("s" if before else "e", x - 4 if before else x + 4, top - 6, f"{plain(end / self.divisor)} {self.unit}")

    def row(self, track):
        width = self.whole - self.left - MARGIN
        self.add(f'<rect class="row" x="{self.left:g}" y="{track.top}" width="{width:g}" height="{track.height}"/>')
        self.text("s", self.left - 6, track.top + track.height / 2 + 3.5, track.name)
        shapes, runs = collections.defaultdict(list), []
        for piece in sorted(track.slices):
            left, right = self.x(piece.start), self.x(piece.end)
            high = track.height / len(piece.parts)
            for i, part in enumerate(piece.parts):
                self.shape(shapes[part, track.top + i * high, high], left, right, 0.8 if part == "C" else 0.25)
            key = (piece.parts, piece.number)
            if runs and runs[-1][0] == key and left - runs[-1][2] < 1:
                runs[-1][2] = right
            else:
                runs.append([key, left, right])
        for (part, top, high), pieces in sorted(shapes.items()):
            self.used.add(part)
            boxes = "".join(f"M{left:.1f} {top:g}h{right - left:.1f}v{high:g}h{left - right:.1f}z" for left, right in pieces)
            self.add(f'<path class="{part}" d="{boxes}"/>')
        if track.height == COMPUTE:
            self.numbers(track, runs)

    @staticmethod
    def shape(shapes, left, right, least):
        """Neighbours have a hair's breadth between them; what is no wider itself becomes one with its neighbour."""
        if right - left > 1.5:
            shapes.append([left, right - 0.3])
        elif shapes and left - shapes[-1][1] < 0.1:
            shapes[-1][1] = max(right, shapes[-1][1])
        else:
            shapes.append([left, max(right, left + least)])

    def numbers(self, track, runs):
        """Micro-batches, once for neighbours of one kind."""
        for (parts, number), left, right in runs:
            high = track.height / len(parts)
            for i, text in enumerate(number.split("+") if number else []):
                if DIGIT * len(text) + 3 <= right - left:
                    self.text("n", (left + right) / 2, track.top + (i + 0.5) * high + 3.5, text)

    def draw_arrows(self):
        lines, heads = [], []
        for arrow in self.arrows:
            if arrow.source.top is None or arrow.target.top is None or arrow.start < self.start or arrow.end > self.stop:
                continue
            x, y = self.x(arrow.start), arrow.source.top + arrow.source.height / 2
            to_x, to_y = self.x(arrow.end), arrow.target.top + arrow.target.height / 2
            back = 3 if to_y > y else -3
            lines.append(f"M{x:.1f} {y:g}L{to_x:.1f} {to_y:g}")
            heads.append(f"M{to_x:.1f} {to_y:g}l-1.6 {-back:g}h3.2z")
        if lines:
            self.used.add("arrow")
            self.add(f'<path class="a" d="{"".join(lines)}"/>\n<path class="h" d="{"".join(heads)}"/>')

    def legend(self, top):
        """Returns where it ends."""
        x = self.left
        for kind, name in LEGEND.items():
            if kind in self.used:
                self.add(f'<rect class="{kind}" x="{x:.1f}" y="{top}" width="16" height="12"/>')
                self.text("", x + 21, top + 10, name)
                x += 21 + LETTER * len(name) + 14
        if "arrow" in self.used:
            self.add(f'<path class="a" d="M{x:.1f} {top + 11}l14 -9"/>')
            self.text("", x + 20, top + 10, "from send to receive")
        return top + 14


def time_of(text):
    match = re.fullmatch(r"([0-9.]+)(us|ms|s)", text)
    try:
        return float(match[1]) * {"us": 1, "ms": 1e3, "s": 1e6}[match[2]]
    except (TypeError, ValueError):
        raise argparse.ArgumentTypeError(f"found {text!r}; allowed are times as 120ms, 1.5s, 800us") from None


class Parser(argparse.ArgumentParser):
    """One line, as our other tools."""

    def error(self, message):
        sys.exit(refuse(message.replace("argument ", "", 1)))


def main():
    parser = Parser(description=__doc__)
    parser.add_argument("trace", help="the file that --trace wrote")
    parser.add_argument("-o", "--output", help="the SVG (default: stdout)")
    parser.add_argument("--from", dest="start", type=time_of, help="begin here, as 120ms (us, ms or s)")
    parser.add_argument("--to", dest="stop", type=time_of, help="end here")
    parser.add_argument("--only", default="", help="only processes whose name contains this: measured, 'rank 0', ...")
    parser.add_argument("--no-arrows", action="store_true", help="leave the arrows out")
    parser.add_argument("--title", default="", help="stands above the picture")
    parser.add_argument("--width", type=int, default=1200, help="of the picture in pixels (default 1200)")
    flags = parser.parse_args()
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    try:
        if flags.width < 300:
            raise Refused(f"--width: found {flags.width}; allowed are numbers from 300")
        processes, arrows = read(flags.trace)
        processes = [process for process in processes if flags.only in process.name]
        if not processes:
            raise Refused(f"{flags.trace}: no slices" + (f" of a process named {flags.only}" if flags.only else ""))
        picture = Picture(processes, [] if flags.no_arrows else arrows, flags.title, (flags.start, flags.stop), flags.width).draw()
        with open(flags.output, "w", encoding="utf-8") if flags.output else sys.stdout as out:
            out.write(picture)
    except OSError as error:
        return refuse(f"{flags.output}: cannot be written: {error.strerror}")
    except Refused as refused:
        return refuse(str(refused))
    return 0


def refuse(message):
    print("error:", message, file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
