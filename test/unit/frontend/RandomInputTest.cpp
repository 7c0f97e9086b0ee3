// SPDX-License-Identifier: Apache-2.0
//
// Damaged configs and plans: whatever bytes arrive, the answer is a value or one line that names
// the file.

#include "test/unit/frontend/TestInputs.h"

using namespace hadal;
using namespace hadal::test;

namespace {

/// Repeatable numbers (a 64-bit linear congruence, upper bits).
struct Random {
  uint64_t state;
  size_t operator()() {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return state >> 33;
  }
};

/// Changes, removes, repeats or inserts a few bytes; JSON's own characters come often.
std::string damaged(std::string text, Random &random) {
  const std::string alphabet = "{}[]\",:0123456789.-+eEtfn \n\\u\xc3\xff\x01";
  for (int count = 1 + random() % 4; count > 0 && !text.empty(); --count) {
    size_t at = random() % text.size();
    switch (random() % 4) {
    case 0:
      text[at] = alphabet[random() % alphabet.size()];
      break;
    case 1:
      text.erase(at, 1 + random() % 20);
      break;
    case 2:
      text.insert(at, text.substr(random() % text.size(), random() % 40));
      break;
    default:
      text.insert(at, 1, alphabet[random() % alphabet.size()]);
    }
  }
  return text;
}

void expectOneLine(const InputError &error) {
  std::string message = error.message();
  EXPECT_EQ(message.find("in.json:"), 0u) << message;
  EXPECT_EQ(message.find('\n'), message.npos) << message;
  EXPECT_NE(message.find("; allowed: "), message.npos) << message;
  EXPECT_FALSE(error.allowed.empty());
}

TEST(RandomInput, ConfigsNeverCrash) {
  Random random{1};
  int accepted = 0;
  for (int i = 0; i < 4000; ++i) {
    Checked<ModelSpec> spec = parseModelSpec(damaged(configText(), random), "in.json");
    accepted += bool(spec);
    if (!spec)
      expectOneLine(spec.error());
  }
  EXPECT_GT(accepted, 0);
  EXPECT_LT(accepted, 2000);
}

TEST(RandomInput, PlansNeverCrash) {
  Random random{2};
  ModelSpec spec = validSpec();
  Checked<std::string> text = readTextFile(examplePath("deepseek-v3/plan.json"));
  ASSERT_TRUE(bool(text));
  for (int i = 0; i < 4000; ++i) {
    Checked<Plan> plan = parsePlan(damaged(*text, random), "in.json", spec);
    if (!plan) {
      expectOneLine(plan.error());
      continue;
    }
    if (std::optional<InputError> error = checkSupported(*plan))
      expectOneLine(*error);
    if (std::optional<InputError> error = checkPlan(*plan, spec))
      expectOneLine(*error);
  }
}

} // namespace
