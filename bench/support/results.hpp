// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstddef>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

namespace bench {

/// The middle value; of an even number the mean of the two in the middle. Not for an empty list.
inline double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const std::size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

/// What was measured several times.
struct Spread {
  double low, middle, high;

  explicit Spread(const std::vector<double>& values)
      : low(*std::min_element(values.begin(), values.end())),
        middle(median(values)),
        high(*std::max_element(values.begin(), values.end())) {}
};

inline void to_json(nlohmann::ordered_json& json, const Spread& spread) {
  json = {{"median", spread.middle}, {"low", spread.low}, {"high", spread.high}};
}

/// Writes the whole file or, throwing, nothing.
inline void write_json(const std::filesystem::path& file, const nlohmann::ordered_json& json) {
  auto partial = file;
  partial += ".part";
  std::ofstream out{partial};
  out << json.dump(2) << '\n';
  out.close();
  std::error_code error;
  if (out) std::filesystem::rename(partial, file, error);
  if (!out || error) {
    std::filesystem::remove(partial, error);
    throw std::runtime_error("cannot write " + file.string());
  }
}

}  // namespace bench
