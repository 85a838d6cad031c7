// SPDX-License-Identifier: MIT
// Any bytes as a LIBSVM file, plain, packed or damaged, that becomes a cache in pieces: the cache, the report and the error of the same rows in memory.
// See fuzz.hpp.
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>

#include <parade/data/cache.hpp>
#include <parade/data/make_cache.hpp>
#include <parade/io/cache.hpp>
#include <parade/io/libsvm.hpp>
#include <parade/io/text.hpp>

#include "fuzz.hpp"
#include "libsvm_options.hpp"

namespace {

using parade::Index;

template <class S>
parade::LibsvmData<S> read(const std::filesystem::path& file, const parade::LibsvmOptions& options,
                           const parade::detail::LibsvmSizes& sizes) {
  return parade::detail::read_libsvm<S>(parade::detail::TextSource{file, parade::detail::Unpack::by_and_by}, options, sizes);
}

bool same(const parade::LibsvmReport& a, const parade::LibsvmReport& b) {
  return a.rows == b.rows && a.skipped == b.skipped && a.messages == b.messages && a.index_base == b.index_base && a.targets == b.targets &&
         a.nonzeros == b.nonzeros && a.bytes == b.bytes;
}

template <class S>
void check(const std::filesystem::path& file, const parade::LibsvmOptions& options, std::size_t piece) {
  const auto made = file.parent_path() / "made", written = file.parent_path() / "written";
  const parade::CacheOptions cache{.rows_per_block = static_cast<Index>(piece % 4)};
  parade::LibsvmData<S> whole;
  const auto expected = fuzz::error_of([&] {
    whole = read<S>(file, options, {});
    parade::write_cache(written, whole.rows, cache);
  });
  parade::LibsvmReport report;
  const auto error = fuzz::error_of([&] { report = parade::detail::make_cache<S>(file, made, options, cache, {.piece = piece}); });
  fuzz::require(error.empty() == expected.empty(), "one is refused and the other is not");
  fuzz::require(error == expected || !(fuzz::is_of_text(error) || fuzz::is_of_text(expected)), "errors differ");
  if (!error.empty()) return;
  fuzz::require(same(report, whole.report), "reports differ");
  fuzz::require(fuzz::bytes_of(made) == fuzz::bytes_of(written), "caches differ");
}

/// Of lines that are too long the error does not depend on the piece either.
void check_long_lines(const std::filesystem::path& file, const parade::LibsvmOptions& options, std::size_t piece, std::size_t most) {
  const auto error = [&](std::size_t bytes) {
    return fuzz::error_of([&] { read<float>(file, options, {.piece = bytes, .most_line = most}); });
  };
  const auto expected = error(most);
  fuzz::require(error(1) == expected && error(1 + piece % most) == expected, "errors of long lines differ");
}

}  // namespace

/// The first three bytes choose the options.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 3) return 0;
  const parade::LibsvmOptions options = fuzz::libsvm_options(data);
  const std::size_t piece = 1 + data[2] % 64;
  static const std::filesystem::path file = fuzz::scratch_file();
  data[1] & 8 ? fuzz::write_packed(file, data + 3, size - 3) : fuzz::write(file, data + 3, size - 3);
  if (data[1] & 8 && data[1] & 16) fuzz::damage(file, data[2]);
  if (data[1] & 4)
    check<double>(file, options, piece);
  else
    check<float>(file, options, piece);
  if (const std::size_t most = 5 * (data[1] / 32u); most > 0) check_long_lines(file, options, piece, most);
  return 0;
}
