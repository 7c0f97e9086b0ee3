// SPDX-License-Identifier: Apache-2.0
//
// See Drawing.h: the SVG for a page.

#include "runtime/simulate/Drawing.h"

#include <algorithm>
#include <cmath>

namespace hadal::rt {

namespace {

constexpr double kRow = 26, kCell = 22, kTop = 44, kTextHeight = 16, kDigit = 6.2;

/// Light and dark, by kind; direction 1 is paler in the light and duller in the dark. Cells of F in
/// orange, B in green, I in blue-green, W in blue, the update in purple.
constexpr const char *kStyle = R"(
text { font: 11px system-ui, sans-serif; fill: #24292f; }
.title { font-size: 14px; font-weight: 600; }
.n { font-size: 10px; text-anchor: middle; fill: #14171a; }
.t { font-size: 10px; text-anchor: middle; }
.page { fill: #ffffff; }
.row { fill: #f0f1f3; }
.tick { stroke: #d3d7dc; }
.pair { fill: none; stroke: #24292f; stroke-width: 1.2; }
.c { stroke: #ffffff; stroke-width: 0.8; }
.F0 { fill: #f6b26b; } .F1 { fill: #fbdfb8; }
.B0 { fill: #7fc78b; } .B1 { fill: #c0e6c2; }
.I0 { fill: #62c3bf; } .I1 { fill: #b4e4e0; }
.W0 { fill: #84aef0; } .W1 { fill: #c6daf9; }
.U0 { fill: #c3aee3; }
@media (prefers-color-scheme: dark) {
text { fill: #d6dbe1; }
.n { fill: #ffffff; }
.page { fill: #0d1117; }
.row { fill: #21262d; }
.tick { stroke: #3d444d; }
.pair { stroke: #e6edf3; }
.c { stroke: #0d1117; }
.F0 { fill: #b3691b; } .F1 { fill: #7a4d1c; }
.B0 { fill: #2e8540; } .B1 { fill: #205a2d; }
.I0 { fill: #1b827e; } .I1 { fill: #145955; }
.W0 { fill: #3a6fc4; } .W1 { fill: #294c84; }
.U0 { fill: #7f5bb0; }
}
)";

std::string escaped(const std::string &text) {
  std::string safe;
  for (char c : text)
    switch (c) {
    case '&':
      safe += "&amp;";
      break;
    case '<':
      safe += "&lt;";
      break;
    case '>':
      safe += "&gt;";
      break;
    case '"':
      safe += "&quot;";
      break;
    default: // XML has no place for control characters
      safe += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
    }
  return safe;
}

/// With at most two digits behind the point, and none that say nothing.
std::string number(double value) {
  char text[40];
  std::snprintf(text, sizeof text, "%.2f", value);
  std::string s = text;
  s.erase(s.find_last_not_of('0') + 1);
  if (s.back() == '.')
    s.pop_back();
  return s == "-0" ? "0" : s;
}

std::string plain(double value) {
  char text[40];
  std::snprintf(text, sizeof text, "%.6g", value);
  return text;
}

const char *kindName(char kind) {
  return kind == 'F'   ? "forward"
         : kind == 'B' ? "backward"
         : kind == 'I' ? "input gradient"
         : kind == 'W' ? "weight gradient"
                       : "update of the weights";
}

class SvgPicture {
public:
  SvgPicture(const Drawing &drawing, std::ostream &out) : drawing(drawing), out(out) {
    for (int rank = 0; rank < drawing.ranks; ++rank)
      left = std::max(left, 16 + 6.6 * double(drawing.rowName(rank).size()));
    for (char kind : {'F', 'B', 'I', 'W'})
      bothWays |= drawing.holds(kind, 1);
    last = drawing.lastTime();
    const double shortest = drawing.shortest();
    // The shortest chunk holds two digits, but the whole stays handy.
    width = shortest > 0 ? std::clamp(kCell * last / shortest, 720.0, 12000.0) : 720;
    scale = last > 0 ? width / last : 1;
    bottom = kTop + kRow * drawing.ranks;
  }

  void draw() {
    const double height = bottom + 26 + kTextHeight * 1.4 * (directions() == 2 ? 2 : 1) + 8;
    const double whole = left + width + 24;
    out << "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"" << number(whole) << "\" height=\""
        << number(height) << "\" viewBox=\"0 0 " << number(whole) << " " << number(height)
        << "\" role=\"img\">\n<title>" << escaped(drawing.title) << "</title>\n<style>" << kStyle
        << "</style>\n<rect class=\"page\" width=\"100%\" height=\"100%\"/>\n<text class=\"title\" "
           "x=\"8\" y=\"22\">"
        << escaped(drawing.title) << "</text>\n";
    rows();
    axis();
    for (const TimedChunk &chunk : drawing.chunks)
      cell(chunk);
    legend();
    out << "</svg>\n";
  }

private:
  int directions() const { return bothWays ? 2 : 1; }

  double x(double time) const { return left + time * scale; }
  double y(int rank) const { return kTop + kRow * rank; }

  void rows() {
    for (int rank = 0; rank < drawing.ranks; ++rank)
      out << "<rect class=\"row\" x=\"" << number(left) << "\" y=\"" << number(y(rank) + 1)
          << "\" width=\"" << number(width) << "\" height=\"" << number(kRow - 2)
          << "\"/><text x=\"8\" y=\"" << number(y(rank) + kRow / 2 + 4) << "\">"
          << escaped(drawing.rowName(rank)) << "</text>\n";
  }

  void axis() {
    double step = std::pow(10, std::floor(std::log10(std::max(60 / scale, 1e-9))));
    for (double factor : {2.0, 5.0, 10.0})
      if (step * scale < 60)
        step = factor * std::pow(10, std::floor(std::log10(std::max(60 / scale, 1e-9))));
    for (int i = 0; i * step <= last * (1 + 1e-9); ++i) {
      const std::string at = number(x(i * step));
      out << "<path class=\"tick\" d=\"M" << at << " " << number(kTop) << "V" << number(bottom + 4)
          << "\"/><text class=\"t\" x=\"" << at << "\" y=\"" << number(bottom + 16) << "\">"
          << plain(i * step) << (i == 0 && !drawing.unit.empty() ? " " + escaped(drawing.unit) : "")
          << "</text>\n";
    }
  }

  void box(const ChunkPart &part, double at, double top, double wide, double high) {
    out << "<rect class=\"c " << part.kind << (part.direction ? 1 : 0) << "\" x=\"" << number(at)
        << "\" y=\"" << number(top) << "\" width=\"" << number(wide) << "\" height=\""
        << number(high) << "\"/>";
  }

  void cell(const TimedChunk &chunk) {
    const double at = x(chunk.start), wide = (chunk.end - chunk.start) * scale;
    const bool pair = chunk.parts.size() == 2;
    const double high = (kRow - 4) / (pair ? 2 : 1);
    out << "<g><title>" << escaped(tip(chunk)) << "</title>";
    for (std::size_t i = 0; i < chunk.parts.size(); ++i) {
      const double top = y(chunk.rank) + 2 + double(i) * high;
      box(chunk.parts[i], at, top, wide, high);
      const int microBatch = chunk.parts[i].microBatch;
      const std::string label = std::to_string(microBatch);
      if (microBatch >= 0 && kDigit * double(label.size()) + 1 <= wide)
        out << "<text class=\"n\" x=\"" << number(at + wide / 2) << "\" y=\""
            << number(top + high / 2 + 3.5) << "\">" << label << "</text>";
    }
    if (pair)
      out << "<rect class=\"pair\" x=\"" << number(at + 0.6) << "\" y=\""
          << number(y(chunk.rank) + 2) << "\" width=\"" << number(std::max(0.0, wide - 1.2))
          << "\" height=\"" << number(kRow - 4) << "\"/>";
    out << "</g>\n";
  }

  std::string tip(const TimedChunk &chunk) const {
    std::string text = drawing.rowName(chunk.rank) + ": ";
    for (std::size_t i = 0; i < chunk.parts.size(); ++i) {
      const ChunkPart &part = chunk.parts[i];
      text +=
          std::string(i ? " with " : "") + kindName(part.kind) +
          (part.microBatch < 0 ? "" : " of micro-batch " + std::to_string(part.microBatch)) +
          (directions() == 2 && part.kind != 'U' ? ", direction " + std::to_string(part.direction)
                                                 : "");
    }
    return text + "; " + plain(chunk.start) + " to " + plain(chunk.end) +
           (drawing.unit.empty() ? "" : " " + drawing.unit);
  }

  void legend() {
    for (int direction = 0; direction < directions(); ++direction) {
      double at = 8;
      const double top = bottom + 26 + direction * kTextHeight * 1.4;
      for (char kind : {'F', 'B', 'I', 'W', 'U'})
        if (drawing.holds(kind, direction)) {
          box({kind, direction, 0}, at, top, 16, 14);
          at =
              legendText(std::string(kindName(kind)) + (direction ? ", direction 1" : ""), at, top);
        }
      if (direction == 0 && drawing.hasPairs()) {
        box({'F', 0, 0}, at, top, 16, 7);
        box({'B', 0, 0}, at, top + 7, 16, 7);
        out << "<rect class=\"pair\" x=\"" << number(at + 0.6) << "\" y=\"" << number(top)
            << "\" width=\"14.8\" height=\"14\"/>";
        legendText("overlapped pair", at, top);
      }
    }
  }

  /// Returns where the next entry begins.
  double legendText(const std::string &text, double at, double top) {
    out << "<text x=\"" << number(at + 21) << "\" y=\"" << number(top + 11) << "\">" << text
        << "</text>\n";
    return at + 21 + 6.2 * double(text.size()) + 16;
  }

  const Drawing &drawing;
  std::ostream &out;
  bool bothWays = false;
  double left = 0, last = 0, width = 0, scale = 1, bottom = 0;
};

} // namespace

void drawSvg(const Drawing &drawing, std::ostream &out) { SvgPicture(drawing, out).draw(); }

} // namespace hadal::rt
