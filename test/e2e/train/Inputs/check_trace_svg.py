# SPDX-License-Identifier: Apache-2.0
"""check_trace_svg.py SVG: a picture that trace-svg.py drew is well-formed, all shapes and texts begin on the page, slices lie within
rows and between their ends. Prints its panels, ranks and rows."""

import re
import sys
import xml.etree.ElementTree as xml

SVG = "{http://www.w3.org/2000/svg}"
BOX = re.compile(r"M(\S+) (\S+?)h(\S+?)v(\S+?)h(\S+?)z")


def main():
    root = xml.parse(sys.argv[1]).getroot()
    _, _, width, height = map(float, root.get("viewBox").split())
    texts, rows, legend = {}, [], set()
    for text in root.iter(SVG + "text"):
        assert 0 <= float(text.get("x")) <= width and 0 <= float(text.get("y")) <= height, text.attrib
        texts.setdefault(text.get("class"), []).append(text.text)
    for rect in root.iter(SVG + "rect"):
        if rect.get("class") == "row":
            x, y, wide, high = (float(rect.get(key)) for key in ("x", "y", "width", "height"))
            assert x >= 0 and x + wide <= width and y + high <= height, rect.attrib
            rows.append((x, x + wide, y, y + high))
        elif rect.get("class") != "page":
            legend.add(rect.get("class"))
    used = set()
    for path in root.iter(SVG + "path"):
        boxes = BOX.findall(path.get("d"))
        if boxes:
            used.add(path.get("class"))
            assert path.get("d") == "".join("M{} {}h{}v{}h{}z".format(*box) for box in boxes)
        for x, y, wide, high, back in (map(float, box) for box in boxes):
            assert wide > 0 and abs(wide + back) < 1e-6, (wide, back)
            assert any(a <= x + 0.06 and x + wide <= b + 1 and c <= y and y + high <= d for a, b, c, d in rows), (x, y, wide, high)
    assert used == legend, (used, legend)
    ranks = [text for text in texts[""] if re.match("ranks? ", text)]
    print(f"panels: {', '.join(texts['set'])}; {len(ranks)} ranks, {len(rows)} rows")


main()
