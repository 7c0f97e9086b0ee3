// SPDX-License-Identifier: Apache-2.0
//
// Drawings: the text cell by cell, widths, colours; what the SVG holds.

#include "runtime/simulate/Drawing.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

using namespace hadal::rt;
using testing::HasSubstr;
using testing::Not;

namespace {

Drawing small(bool pairs) {
  Drawing drawing;
  drawing.title = "a < b & \"c\"";
  drawing.ranks = 2;
  drawing.chunks = {{0, 0, 1, {{'F', 0, 0}}},
                    {0, 2, 4, {{'B', 0, 0}}},
                    {1, 1, 2, {{'I', 1, 7}}},
                    {1, 3, 4, {{'W', 1, 7}}}};
  if (pairs)
    drawing.chunks.push_back({0, 4, 7, {{'F', 1, 12}, {'B', 0, 3}}});
  return drawing;
}

std::vector<std::string> text(const Drawing &drawing, int columns, bool colour = false) {
  std::ostringstream out;
  drawText(drawing, {columns, colour}, out);
  std::vector<std::string> lines;
  std::istringstream in(out.str());
  for (std::string line; std::getline(in, line);)
    lines.push_back(line);
  return lines;
}

/// Characters, not bytes.
std::size_t length(const std::string &line) {
  std::size_t count = 0;
  for (char c : line)
    count += (static_cast<unsigned char>(c) & 0xc0) != 0x80;
  return count;
}

TEST(DrawText, OneLineARank) {
  auto lines = text(small(false), 80);
  ASSERT_EQ(lines.size(), 4u);
  EXPECT_EQ(lines[0], "a < b & \"c\"");
  EXPECT_EQ(lines[1], "rank 0 F0··B0──");
  EXPECT_EQ(lines[2], "rank 1 ··I7··W7");
  EXPECT_EQ(lines[3],
            "F forward  B backward  I input gradient  W weight gradient  ─ goes on  · idle");
}

TEST(DrawText, PairsTakeTwoLines) {
  auto lines = text(small(true), 80);
  ASSERT_EQ(lines.size(), 6u);
  EXPECT_EQ(lines[1], "rank 0 F0─···B0────F12──────");
  EXPECT_EQ(lines[2], "       ───···──────B3───────");
  EXPECT_EQ(lines[3], "rank 1 ···I7─···W7─·········");
  EXPECT_EQ(lines[4], "       ···───···───·········");
  EXPECT_THAT(lines[5], HasSubstr("F above B: an overlapped pair"));
}

TEST(DrawText, TimesBelowWhereThereIsAUnit) {
  Drawing drawing = small(false);
  drawing.unit = "ms";
  auto lines = text(drawing, 80);
  ASSERT_EQ(lines.size(), 5u);
  EXPECT_EQ(lines[3], "       0 ms");
  drawing.chunks.push_back({1, 4, 40, {{'F', 0, 5}}});
  EXPECT_EQ(text(drawing, 87)[3], "       0 ms                10                  20"
                                  "                  30");
}

TEST(DrawText, TheUpdateHasNoNumber) {
  Drawing drawing = small(false);
  drawing.chunks.push_back({0, 5, 6, {{'U', 0, -1}}});
  auto lines = text(drawing, 80);
  EXPECT_EQ(lines[1], "rank 0 F0··B0──··U─");
  EXPECT_THAT(lines[3], HasSubstr("W weight gradient  U update"));
}

TEST(DrawText, AShortUpdateDoesNotStretchTheRest) {
  Drawing drawing = small(false);
  drawing.chunks.push_back({0, 4, 4.01, {{'U', 0, -1}}});
  EXPECT_EQ(text(drawing, 80)[1], "rank 0 F0··B0──U");
}

TEST(DrawText, FitsTheWidth) {
  Drawing drawing = small(true);
  drawing.chunks.push_back({1, 100, 1000, {{'F', 0, 123456}}});
  for (int columns : {10, 20, 33, 80, 300})
    for (const std::string &line : text(drawing, columns))
      if (line.rfind("rank", 0) == 0)
        EXPECT_LE(length(line), std::size_t(std::max(columns, 15))) << line;
}

TEST(DrawText, NumbersGoWhereThereIsNoRoom) {
  Drawing drawing = small(false);
  drawing.chunks.push_back({0, 4, 40, {{'F', 0, 5}}});
  EXPECT_EQ(text(drawing, 47)[1].substr(0, 14), "rank 0 F·B0F5");
}

TEST(DrawText, ColoursTellTheKinds) {
  auto lines = text(small(true), 80, true);
  EXPECT_THAT(lines[1], HasSubstr("\033[48;5;215;38;5;16m▏0 \033[0m"));
  EXPECT_THAT(lines[1], HasSubstr("\033[48;5;223;38;5;16m▏12"));
  EXPECT_THAT(lines[2], HasSubstr("▏3 "));
  EXPECT_THAT(lines[1], Not(HasSubstr("F")));
  EXPECT_THAT(lines[5], HasSubstr("paler: direction 1"));
  for (const std::string &line : text(small(true), 80, false))
    EXPECT_THAT(line, Not(HasSubstr("\033")));
}

TEST(DrawText, NothingToDraw) {
  Drawing drawing;
  drawing.ranks = 1;
  EXPECT_EQ(text(drawing, 80)[0], "rank 0 ·");
  drawing.chunks = {{0, 0, 0, {{'F', 0, 0}}}}; // takes no time
  EXPECT_EQ(text(drawing, 80).size(), 2u);
}

TEST(DrawText, NamesOfRows) {
  Drawing drawing = small(false);
  drawing.rows = {"rank 0, replicas 0 to 7"};
  auto lines = text(drawing, 80);
  EXPECT_EQ(lines[1].substr(0, 24), "rank 0, replicas 0 to 7 ");
  EXPECT_EQ(lines[2].substr(0, 24), "rank 1                  ");
}

std::string svg(const Drawing &drawing) {
  std::ostringstream out;
  drawSvg(drawing, out);
  return out.str();
}

std::size_t count(const std::string &text, const std::string &what) {
  std::size_t found = 0;
  for (std::size_t at = text.find(what); at != text.npos; at = text.find(what, at + 1))
    ++found;
  return found;
}

TEST(DrawSvg, CellsAndLegend) {
  const std::string picture = svg(small(true));
  EXPECT_THAT(picture, HasSubstr("<title>a &lt; b &amp; &quot;c&quot;</title>"));
  EXPECT_THAT(picture, HasSubstr("prefers-color-scheme: dark"));
  EXPECT_EQ(count(picture, "class=\"c F0\""), 3u); // a cell, the legend, the legend's pair
  EXPECT_EQ(count(picture, "class=\"c F1\""), 2u); // half a pair, the legend
  EXPECT_EQ(count(picture, "class=\"c B0\""), 4u);
  EXPECT_EQ(count(picture, "class=\"c W1\""), 2u);
  EXPECT_EQ(count(picture, "class=\"pair\""), 2u);
  EXPECT_THAT(picture, HasSubstr("overlapped pair"));
  EXPECT_THAT(picture, HasSubstr("input gradient, direction 1"));
  EXPECT_THAT(picture, HasSubstr(">12</text>"));
  EXPECT_THAT(picture, HasSubstr("<title>rank 0: forward of micro-batch 12, direction 1 with "
                                 "backward of micro-batch 3, direction 0; 4 to 7</title>"));
}

TEST(DrawSvg, OnlyWhatIsThereIsExplained) {
  Drawing drawing;
  drawing.ranks = 1;
  drawing.unit = "us";
  drawing.chunks = {{0, 0, 1.5, {{'F', 0, 0}}}};
  const std::string picture = svg(drawing);
  EXPECT_THAT(picture, Not(HasSubstr("backward")));
  EXPECT_THAT(picture, Not(HasSubstr("direction")));
  EXPECT_THAT(picture, Not(HasSubstr("overlapped")));
  EXPECT_THAT(picture, HasSubstr("forward of micro-batch 0; 0 to 1.5 us"));
  EXPECT_THAT(picture, HasSubstr(">0 us</text>"));
}

TEST(DrawSvg, StaysHandyWhateverTheTimes) {
  for (double factor : {1e-9, 1.0, 1e9}) {
    Drawing drawing = small(true);
    for (TimedChunk &chunk : drawing.chunks) {
      chunk.start *= factor;
      chunk.end *= factor;
    }
    const std::string picture = svg(drawing);
    EXPECT_THAT(picture, HasSubstr("viewBox=\"0 0 799.6 "));
    EXPECT_LE(count(picture, "class=\"tick\""), 13u);
    EXPECT_GE(count(picture, "class=\"tick\""), 4u);
  }
  Drawing empty;
  EXPECT_THAT(svg(empty), HasSubstr("</svg>"));
}

} // namespace
