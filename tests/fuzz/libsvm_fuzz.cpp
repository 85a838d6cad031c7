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

namespace {

using parade::Index;

template <class S>
bool same(const parade::SparseRows<S>& a, const parade::SparseRows<S>& b) {
  bool sets = a.has_label_sets() == b.has_label_sets();
  for (Index i = 0; sets && a.has_label_sets() && i < a.size(); ++i)
    sets = std::equal(a.label_set(i).begin(), a.label_set(i).end(), b.label_set(i).begin(), b.label_set(i).end());
  return a.offsets() == b.offsets() && a.indices() == b.indices() && fuzz::same_bits(a.values(), b.values()) &&
         a.num_features() == b.num_features() && a.has_labels() == b.has_labels() && a.num_targets() == b.num_targets() &&
         (!a.has_labels() || a.labels() == b.labels()) && (a.num_targets() == 0 || fuzz::same_bits(a.targets(), b.targets())) && sets &&
         a.has_queries() == b.has_queries() && (!a.has_queries() || a.queries() == b.queries());
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
      fuzz::require(error.empty() && same(found.rows, whole.rows) && found.report.messages.size() == whole.report.messages.size(),
                    "packed rows differ");
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
  fuzz::require(same(whole.rows, pieces.rows) && whole.report.messages == pieces.report.messages, "rows differ");

  if (packed) check_packed(text, options, piece, error, whole);
  if (!error.empty()) return;

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
  fuzz::require(same(whole.rows, back), "what was written is not what is read");
}

}  // namespace

/// The first three bytes choose the options.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 3) return 0;
  parade::LibsvmOptions options;
  options.on_error = data[0] & 1 ? parade::OnError::skip : parade::OnError::stop;
  options.not_finite = data[0] & 2 ? parade::NotFinite::keep : parade::NotFinite::refuse;
  options.sort_indices = data[0] & 4;
  options.add_duplicates = data[0] & 8;
  if (data[0] & 16) options.index_base = data[0] >> 7;
  if (data[0] & 32) options.num_features = 5;
  options.targets = static_cast<parade::LibsvmTargets>(data[1] & 3);
  options.threads = 1;
  const std::string_view text{reinterpret_cast<const char*>(data) + 3, size - 3};
  if (data[1] & 4)
    check<double>(text, options, 1 + data[2] % 64, data[1] & 8);
  else
    check<float>(text, options, 1 + data[2] % 64, data[1] & 8);
  return 0;
}
