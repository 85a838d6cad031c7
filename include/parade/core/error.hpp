// SPDX-License-Identifier: MIT
#pragma once

#include <locale>
#include <sstream>
#include <stdexcept>
#include <string>

namespace parade {

/// A file that cannot be read or that does not hold what its format says. The text names the file, the byte or line, the value and the rule.
class FileError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// Data that does not fit the model or the loss: shapes, labels out of range, values that are not finite. The text names the field, the
/// sample, the value and the rule.
class DataError : public std::invalid_argument {
 public:
  using std::invalid_argument::invalid_argument;
};

/// Options that break a rule. The text names the field, the value and the rule.
class OptionError : public std::invalid_argument {
 public:
  using std::invalid_argument::invalid_argument;
};

namespace detail {

/// "batch_size must be at least 1; got 0": the pieces of an error's text, joined.
template <class... Pieces>
std::string text(const Pieces&... pieces) {
  std::ostringstream out;
  out.imbue(std::locale::classic());  // "2.5", whatever the host program's locale
  (out << ... << pieces);
  return out.str();
}

}  // namespace detail
}  // namespace parade
