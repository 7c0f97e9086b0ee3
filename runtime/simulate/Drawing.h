// SPDX-License-Identifier: Apache-2.0
//
// Pictures of schedules: ranks down, time across, each chunk a cell in the colour of its kind with
// its micro-batch in it, the halves of an overlapped pair one above the other. As text for a
// terminal and as SVG for a page, light or dark. Whoever has timed chunks can draw them: simulated
// orders, simulated or measured programs.

#ifndef HADAL_RUNTIME_SIMULATE_DRAWING_H
#define HADAL_RUNTIME_SIMULATE_DRAWING_H

#include "runtime/simulate/Chunk.h"

#include <cstdio>
#include <ostream>
#include <string>
#include <vector>

namespace hadal::rt {

struct Drawing {
  std::string title;
  std::string unit; ///< of time: "us"; empty for orders
  int ranks = 0;
  std::vector<std::string> rows; ///< names of the ranks; left out: "rank 0", ...
  double end = 0;                ///< of the time axis; 0: the end of the last chunk
  /// Chunks of one rank do not overlap; the micro-batch is the number that the cell shows, none
  /// below 0. Kinds: F, B, I, W, and U, the update of the weights.
  std::vector<TimedChunk> chunks;

  double lastTime() const;
  std::string rowName(int rank) const;
  bool hasPairs() const;
  /// Whether anything of that kind and direction is there.
  bool holds(char kind, int direction) const;
  /// Of the shortest chunk of a micro-batch that takes time; 0 when there is none.
  double shortest() const;
};

struct TextStyle {
  int columns = 240;
  bool colour = false;
};
/// The width of the terminal, and colours, if `out` is one and NO_COLOR is not set; else the width
/// that COLUMNS gives.
TextStyle styleOf(std::FILE *out);

/// Time is scaled so that lines fit `columns`.
void drawText(const Drawing &drawing, const TextStyle &style, std::ostream &out);
void drawSvg(const Drawing &drawing, std::ostream &out);

} // namespace hadal::rt

#endif
