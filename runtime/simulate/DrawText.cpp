// SPDX-License-Identifier: Apache-2.0
//
// See Drawing.h: the text for a terminal. Where there are pairs a rank has two lines: the forward
// half of a pair stands in the upper one, the backward half in the lower one, and what runs alone
// fills both.

#include "runtime/simulate/Drawing.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <sys/ioctl.h>
#include <unistd.h>

namespace hadal::rt {

double Drawing::lastTime() const {
  double last = end;
  for (const TimedChunk &chunk : chunks)
    last = std::max(last, chunk.end);
  return last;
}

std::string Drawing::rowName(int rank) const {
  return std::size_t(rank) < rows.size() ? rows[std::size_t(rank)] : "rank " + std::to_string(rank);
}

bool Drawing::hasPairs() const {
  return std::any_of(chunks.begin(), chunks.end(),
                     [](const TimedChunk &chunk) { return chunk.parts.size() == 2; });
}

bool Drawing::holds(char kind, int direction) const {
  for (const TimedChunk &chunk : chunks)
    for (const ChunkPart &part : chunk.parts)
      if (part.kind == kind && part.direction == direction)
        return true;
  return false;
}

double Drawing::shortest() const {
  double shortest = 0;
  for (const TimedChunk &chunk : chunks)
    if (chunk.end > chunk.start && chunk.parts[0].kind != 'U' &&
        (shortest == 0 || chunk.end - chunk.start < shortest))
      shortest = chunk.end - chunk.start;
  return shortest;
}

TextStyle styleOf(std::FILE *out) {
  TextStyle style;
  if (!::isatty(::fileno(out))) {
    const char *columns = std::getenv("COLUMNS");
    const int width = columns ? int(std::strtol(columns, nullptr, 10)) : 0;
    style.columns = width > 0 && width <= 10000 ? width : style.columns;
    return style;
  }
  const char *plain = std::getenv("NO_COLOR");
  style.colour = !plain || !*plain;
  winsize window{};
  if (::ioctl(::fileno(out), TIOCGWINSZ, &window) == 0 && window.ws_col)
    style.columns = window.ws_col;
  return style;
}

namespace {

constexpr const char *kGoesOn = "\u2500", *kIdle = "\u00b7", *kEdge = "\u258f";

/// Of the 256 colours of terminals: direction 1 is paler.
int colourOf(const ChunkPart &part) {
  const bool first = part.direction == 0;
  switch (part.kind) {
  case 'F':
    return first ? 215 : 223;
  case 'B':
    return first ? 114 : 157;
  case 'I':
    return first ? 79 : 122;
  case 'U':
    return 183;
  default:
    return first ? 111 : 153;
  }
}

std::string painted(int colour, const std::string &text) {
  return "\033[48;5;" + std::to_string(colour) + ";38;5;16m" + text + "\033[0m";
}

class TextPicture {
public:
  TextPicture(const Drawing &drawing, const TextStyle &style)
      : drawing(drawing), style(style), lines(drawing.hasPairs() ? 2 : 1) {
    for (int rank = 0; rank < drawing.ranks; ++rank)
      margin = std::max(margin, drawing.rowName(rank).size() + 1);
    const double last = drawing.lastTime();
    scale = last > 0 ? scaleFor(last, drawing.shortest()) : 1;
    width = std::size_t(std::max(1.0, std::ceil(last * scale - 1e-9)));
    const Cell idle{style.colour ? " " : kIdle, -1};
    cells.assign(std::size_t(drawing.ranks) * std::size_t(lines), std::vector<Cell>(width, idle));
  }

  void paint() {
    for (const TimedChunk &chunk : drawing.chunks) {
      const std::size_t from = std::min(width - 1, std::size_t(std::llround(chunk.start * scale)));
      const std::size_t to =
          std::min(width, std::max(from + 1, std::size_t(std::llround(chunk.end * scale))));
      for (int line = 0; line < lines; ++line) {
        const bool half = chunk.parts.size() == 2;
        fill(chunk.rank * lines + line, from, to, chunk.parts[half && line ? 1 : 0],
             half || line == 0);
      }
    }
  }

  void write(std::ostream &out) const {
    for (int line = 0; line < drawing.ranks * lines; ++line) {
      std::string name = line % lines == 0 ? drawing.rowName(line / lines) : "";
      name.resize(margin, ' ');
      out << name;
      const std::vector<Cell> &row = cells[std::size_t(line)];
      for (std::size_t i = 0; i < row.size();) {
        std::string run;
        const int colour = row[i].colour;
        for (; i < row.size() && row[i].colour == colour; ++i)
          run += row[i].glyph;
        out << (colour < 0 ? run : painted(colour, run));
      }
      out << "\n";
    }
    if (!drawing.unit.empty())
      out << axis() << "\n";
  }

private:
  /// Round times below their columns, as far apart as they are long and more.
  std::string axis() const {
    double step = std::pow(10, std::floor(std::log10(12 / scale)));
    for (double factor : {2.0, 5.0, 10.0})
      if (step * scale < 12)
        step = factor * std::pow(10, std::floor(std::log10(12 / scale)));
    std::string line;
    for (int i = 0; i * step * scale < double(width); ++i) {
      char text[40];
      std::snprintf(text, sizeof text, "%.6g%s", i * step,
                    i == 0 ? (" " + drawing.unit).c_str() : "");
      line.resize(std::max(line.size(), margin + std::size_t(std::llround(i * step * scale))), ' ');
      line += text;
    }
    return line;
  }

  /// Columns for one unit of time: the whole fits, and the shortest chunk is no wider than it needs
  /// to be and, from two columns on, as wide everywhere.
  double scaleFor(double last, double shortest) const {
    std::size_t digits = 1;
    for (const TimedChunk &chunk : drawing.chunks)
      for (const ChunkPart &part : chunk.parts)
        digits = std::max(digits, std::to_string(std::max(0, part.microBatch)).size());
    const double room = std::max(8.0, style.columns - double(margin));
    const double columns = std::min(room / last * shortest, double(digits + 1));
    return (columns >= 2 ? std::floor(columns) : columns) / shortest;
  }

  struct Cell {
    std::string glyph;
    int colour;
  };

  void fill(int line, std::size_t from, std::size_t to, const ChunkPart &part, bool labelled) {
    // Colours tell the kind; then an edge keeps neighbours of one kind apart.
    std::string number = part.microBatch < 0 ? "" : std::to_string(part.microBatch), label;
    if (!style.colour)
      label = part.kind;
    if (number.size() + 1 <= to - from || (style.colour && number.size() <= to - from))
      label += number;
    const bool edge = style.colour && label.size() + 1 <= to - from && to - from > 1;
    for (std::size_t i = from; i < to; ++i) {
      Cell &cell = cells[std::size_t(line)][i];
      cell.colour = style.colour ? colourOf(part) : -1;
      const std::size_t at = i - from - (edge ? 1 : 0);
      if (edge && i == from)
        cell.glyph = kEdge;
      else if (labelled && at < label.size())
        cell.glyph = label[at];
      else
        cell.glyph = style.colour ? " " : kGoesOn;
    }
  }

  const Drawing &drawing;
  const TextStyle &style;
  int lines;
  std::size_t margin = 0, width = 1;
  double scale = 1;
  std::vector<std::vector<Cell>> cells;
};

/// What the kinds that there are look like.
void writeLegend(const Drawing &drawing, bool colour, std::ostream &out) {
  const std::pair<char, const char *> kinds[] = {{'F', "forward"},
                                                 {'B', "backward"},
                                                 {'I', "input gradient"},
                                                 {'W', "weight gradient"},
                                                 {'U', "update"}};
  std::string text;
  bool paler = false;
  for (const auto &[kind, name] : kinds) {
    const bool directions[2] = {drawing.holds(kind, 0), drawing.holds(kind, 1)};
    if (!directions[0] && !directions[1])
      continue;
    if (!colour)
      text += std::string(1, kind) + " ";
    for (int direction = 0; colour && direction < 2; ++direction)
      if (directions[direction])
        text += painted(colourOf({kind, direction, 0}), "  ") + (direction ? " " : "");
    text += (colour && !directions[1] ? " " : "") + std::string(name) + "  ";
    paler |= directions[1];
  }
  if (colour && paler)
    text += "paler: direction 1  ";
  if (!colour)
    text += std::string(kGoesOn) + " goes on  " + kIdle + " idle  ";
  if (drawing.hasPairs())
    text += "F above B: an overlapped pair  ";
  text.resize(text.find_last_not_of(' ') + 1);
  out << text << "\n";
}

} // namespace

void drawText(const Drawing &drawing, const TextStyle &style, std::ostream &out) {
  if (!drawing.title.empty())
    out << drawing.title << "\n";
  TextPicture picture(drawing, style);
  picture.paint();
  picture.write(out);
  writeLegend(drawing, style.colour, out);
}

} // namespace hadal::rt
