# SPDX-License-Identifier: Apache-2.0
"""check_svg.py SVG: the file is well-formed, everything in it lies on the page, cells of a row do not overlap. Prints the number
of cells of each class, the legend's among them, and the topmost numbers: the upper halves of the first row's pairs."""

import collections
import sys
import xml.etree.ElementTree as xml

SVG = "{http://www.w3.org/2000/svg}"


def box(rect):
    return tuple(float(rect.get(key)) for key in ("x", "y", "width", "height"))


def main():
    root = xml.parse(sys.argv[1]).getroot()
    assert root.tag == SVG + "svg", root.tag
    _, _, width, height = map(float, root.get("viewBox").split())
    classes, rows, numbers = collections.Counter(), {}, {}
    for group in root.iter(SVG + "g"):
        assert group.find(SVG + "title").text
        for rect in group.iter(SVG + "rect"):
            if rect.get("class") != "pair":
                x, y, wide, _ = box(rect)
                rows.setdefault(y, []).append((x, x + wide))
        for text in group.iter(SVG + "text"):
            numbers.setdefault(float(text.get("y")), []).append(text.text)
    for rect in root.iter(SVG + "rect"):
        if rect.get("class") == "page":
            continue
        x, y, wide, high = box(rect)
        assert 0 <= x and x + wide <= width and 0 <= y and y + high <= height, rect.attrib
        classes[rect.get("class")] += 1
    for cells in rows.values():
        cells.sort()
        assert all(a[1] <= b[0] + 0.02 for a, b in zip(cells, cells[1:])), cells
    print(", ".join(f"{name} {count}" for name, count in sorted(classes.items())))
    print("topmost:", *numbers[min(numbers)])


main()
