// SPDX-License-Identifier: MIT
// Tier 2 of the promise for the losses: the bits of J and ∂J/∂Z, which every compiler, optimisation level, vector width and processor with
// fused multiply-add must meet. Where a change of the mathematics moves them on purpose, `test_losses "[table]"` prints the new table.
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <iostream>
#include <map>
#include <string>

#include <parade/core/hash.hpp>

#include "losses/cases.hpp"
#include "support/catch.hpp"

namespace {

using namespace losses;

/// Scores near 0 and far out, as halves and tenths: with kinks and ties, and with roundings.
template <class S, class Loss>
std::uint64_t bits(const Loss& loss) {
  Vector<S> all(2);
  for (const Index k : outputs(loss)) {
    const Index m = 83;
    const auto targets = random_targets<Loss, S>(loss, k, m);
    for (const double reach : {1.0, 12.0}) {
      Matrix<S> scores = random_matrix<S>(k, m, 7, -reach, reach);
      for (Index i = 0; i < scores.size(); i += 3)
        scores.data()[i] = static_cast<S>(std::round(2 * static_cast<double>(scores.data()[i])) / 2);
      const auto result = evaluate(loss, scores, targets);
      REQUIRE(result.values.allFinite());
      REQUIRE(result.dscores.allFinite());
      const Index before = all.size(), added = result.values.size() + result.dscores.size();
      all.conservativeResize(before + added);
      all.segment(before, m) = result.values;
      all.tail(added - m) = result.dscores.reshaped();
    }
  }
  return parade::theta_hash<S>(Vector<S>(all.tail(all.size() - 2)));
}

/// float, double.
const std::map<std::string, std::array<std::uint64_t, 2>> golden{
    {"SquaredError", {0xf270710d6742719c, 0x58cc4df8dca3801f}},
    {"AbsoluteError", {0x05a45e058b1e1c78, 0x687a56e1ec9ca76a}},
    {"Huber", {0x3d9f3d90da533ab7, 0x611c040254faf35a}},
    {"Quantile", {0xc62097fea3a8cba8, 0x3aa3876c70ed4206}},
    {"EpsilonInsensitive", {0xd0a9c67ad6f6a11b, 0x54ca65c65af35912}},
    {"SquaredEpsilonInsensitive", {0x5c40c490c32570de, 0x06d78e4be3af2c17}},
    {"Poisson", {0x5b3367d19d7c7b75, 0x4f4b3c1dbb660a74}},
    {"Gamma", {0xa23b1c79567f984f, 0x640fc6f71579d396}},
    {"Tweedie 1.3", {0x7cdb3892b419b936, 0xe575625eed4f08f3}},
    {"Tweedie 3", {0xc852245f228c86db, 0xb771df1bb7fa5448}},
    {"MultilabelLogistic", {0x71a35ec60cb8e938, 0x210916dea9d8af05}},
    {"Logistic", {0xb8da5e0486a75452, 0x1fed01dbc75c5203}},
    {"Hinge", {0xf03b6733f109af01, 0x4740c135154def6e}},
    {"SquaredHinge", {0x7b09faa3fa16a77e, 0xfcb252ef5cc9f5e0}},
    {"ModifiedHuber", {0x7d802c2ec774016a, 0x031dacb59665e50a}},
    {"FocalLogistic", {0xc09f475b5e9ff484, 0x8b00eacecdb76540}},
    {"SoftmaxCrossEntropy", {0xee780f85b7213dd1, 0x4d5a9ca4e4cfc01e}},
    {"SoftmaxCrossEntropy, smoothed", {0x51b5f2fdae627795, 0xb756c956c27a9f89}},
    {"MulticlassHinge", {0x7f296680ea2aedd3, 0x9469b567c8b1fe5b}},
    {"FocalSoftmax", {0xda479ab8a99988a6, 0xe7d78975b7ad4107}},
};

}  // namespace

TEST_CASE("the losses have the same bits on every machine", "[losses]") {
  std::size_t losses = 0;
  for_each([&](const std::string& name, const auto& loss) {
    INFO(name);
    REQUIRE(golden.contains(name));
    CHECK(parade::hash_text(bits<float>(loss)) == parade::hash_text(golden.at(name)[0]));
    CHECK(parade::hash_text(bits<double>(loss)) == parade::hash_text(golden.at(name)[1]));
    ++losses;
  });
  CHECK(losses == golden.size());
}

TEST_CASE("the table of the losses' bits", "[.][table]") {
  for_each([](const std::string& name, const auto& loss) {
    std::cout << "    {\"" << name << "\", {0x" << parade::hash_text(bits<float>(loss)) << ", 0x" << parade::hash_text(bits<double>(loss))
              << "}},\n";
  });
}
