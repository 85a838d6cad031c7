// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstdint>
#include <iomanip>
#include <ostream>
#include <string>

#include <parade/core/report.hpp>

namespace parade {

/// Prints `Evaluation::confusion` as a table: a row for each true class, a column for each predicted class, and the share of each row that
/// was right (recall).
///
///   std::cout << parade::ConfusionMatrix{evaluation};
class ConfusionMatrix {
 public:
  explicit ConfusionMatrix(const Evaluation& evaluation) : counts_(evaluation.confusion) {}

  Index classes() const { return counts_.rows(); }
  std::int64_t count(Index truth, Index predicted) const { return counts_(truth, predicted); }
  /// Of the samples of class c, the share predicted as c; 0 without samples.
  double recall(Index c) const { return share(counts_(c, c), counts_.row(c).sum()); }
  /// Of the samples predicted as c, the share of class c; 0 without samples.
  double precision(Index c) const { return share(counts_(c, c), counts_.col(c).sum()); }

  friend std::ostream& operator<<(std::ostream& out, const ConfusionMatrix& matrix) {
    const auto& counts = matrix.counts_;
    const std::int64_t largest = counts.size() > 0 ? counts.maxCoeff() : 0;
    const int width = 2 + static_cast<int>(std::max(std::to_string(largest).size(), std::to_string(counts.cols()).size()));
    const auto flags = out.flags();
    const auto precision = out.precision();
    out << std::right << "true \\ predicted\n     ";
    for (Index c = 0; c < counts.cols(); ++c) out << std::setw(width) << c;
    out << "   recall\n";
    for (Index r = 0; r < counts.rows(); ++r) {
      out << std::setw(5) << r;
      for (Index c = 0; c < counts.cols(); ++c) out << std::setw(width) << counts(r, c);
      out << std::setw(7) << std::fixed << std::setprecision(1) << 100 * matrix.recall(r) << " %\n";
    }
    out.flags(flags);
    out.precision(precision);
    return out;
  }

 private:
  static double share(std::int64_t part, std::int64_t whole) {
    return whole > 0 ? static_cast<double>(part) / static_cast<double>(whole) : 0;
  }

  decltype(Evaluation::confusion) counts_;
};

}  // namespace parade
