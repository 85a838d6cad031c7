// SPDX-License-Identifier: MIT
// Any bytes as a LIBSVM file: FileError or rows that hold together, the same in pieces of every size, and packed. See fuzz.hpp.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>

#include <parade/io/libsvm.hpp>

#include "fuzz.hpp"
#include "libsvm_options.hpp"

namespace {

using parade::Index;

/// Of the messages, `own` and `other` are the names of the files that they begin with.
bool same(const parade::LibsvmReport& a, const std::string& own, const parade::LibsvmReport& b, const std::string& other) {
  const auto is_same_message = [&](const std::string& x, const std::string& y) {
    return x.starts_with(own) && y.starts_with(other) && x.substr(own.size()) == y.substr(other.size());
  };
  return a.rows == b.rows && a.skipped == b.skipped && a.index_base == b.index_base && a.targets == b.targets && a.nonzeros == b.nonzeros &&
         a.bytes == b.bytes && std::equal(a.messages.begin(), a.messages.end(), b.messages.begin(), b.messages.end(), is_same_message);
}

/// Nothing but blanks and a comment.
bool is_blank(std::string_view line) {
  line.remove_prefix(std::min(line.find_first_not_of(" \t"), line.size()));
  return line.empty() || line == "\r" || line.starts_with('#');
}

/// The text packed, also with one byte changed: what is read then is the same, or the file is refused as damaged.
template <class S>
void check_packed(std::string_view text, const parade::LibsvmOptions& options, std::size_t piece, const std::string& error,
                  const parade::LibsvmData<S>& whole) {
  static const std::filesystem::path file = fuzz::scratch_file();
  fuzz::write_packed(file, text.data(), text.size());
  for (const bool damaged : {false, true}) {
    if (damaged) fuzz::damage(file, piece);
    std::string why;
    try {
      parade::detail::TextSource source{file, parade::detail::Unpack::by_and_by};
      const auto found = parade::detail::read_libsvm<S>(std::move(source), options, {.piece = piece});
      fuzz::require(error.empty() && fuzz::same(found.rows, whole.rows), "packed rows differ");
      fuzz::require(same(found.report, file.string(), whole.report, "text"), "packed reports differ");
      continue;
    } catch (const parade::FileError& refused) {
      why = refused.what();
    }
    why.replace(0, file.string().size(), "text");
    fuzz::require(damaged || why == error, "errors of packed text differ");
    fuzz::require(why == error || why.find("a whole gzip file") != std::string::npos, "damage is told as something else");
  }
}

/// Reads and, of rows that the format can hold, writes and reads again.
template <class S>
void check(std::string_view text, const parade::LibsvmOptions& options, std::size_t piece, bool packed) {
  std::string error, error_in_pieces;
  parade::LibsvmData<S> whole, pieces;
  const auto read = [&](std::size_t bytes, std::string& why) -> parade::LibsvmData<S> {
    try {
      return parade::detail::read_libsvm<S>(parade::detail::TextSource{text, "text"}, options, {.piece = bytes});
    } catch (const parade::FileError& refused) {
      why = refused.what();
      return {};
    }
  };
  whole = read(1 << 20, error);
  pieces = read(piece, error_in_pieces);
  fuzz::require(error == error_in_pieces, "errors differ");
  fuzz::require(options.on_error == parade::OnError::stop || error.empty(), "skipping must not stop");
  fuzz::require(fuzz::same(whole.rows, pieces.rows), "rows differ");
  fuzz::require(same(whole.report, "text", pieces.report, "text"), "reports differ");

  if (packed) check_packed(text, options, piece, error, whole);
  if (!error.empty()) return;
  const auto& report = whole.report;
  fuzz::require(report.rows == whole.rows.size() && report.nonzeros == whole.rows.nonzeros() && report.bytes == text.size() &&
                    report.rows + report.skipped == fuzz::count_lines(text, is_blank) &&
                    static_cast<Index>(report.messages.size()) == std::min<Index>(report.skipped, 10),
                "the report does not fit the rows");

  static const std::filesystem::path file = fuzz::scratch_file();
  try {
    parade::write_libsvm(file, whole.rows, whole.report.index_base);
  } catch (const parade::DataError&) {
    return;
  }
  parade::LibsvmOptions again;
  again.index_base = whole.report.index_base;
  again.num_features = whole.rows.num_features();
  again.targets = whole.report.targets;
  again.not_finite = parade::NotFinite::keep;
  again.threads = 1;
  const auto back = parade::read_libsvm<S>(file, again).rows;
  fuzz::require(fuzz::same(whole.rows, back), "what was written is not what is read");
}

}  // namespace

/// The first three bytes choose the options.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 3) return 0;
  const parade::LibsvmOptions options = fuzz::libsvm_options(data);
  const std::string_view text{reinterpret_cast<const char*>(data) + 3, size - 3};
  if (data[1] & 4)
    check<double>(text, options, 1 + data[2] % 64, data[1] & 8);
  else
    check<float>(text, options, 1 + data[2] % 64, data[1] & 8);
  return 0;
}
