// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <unistd.h>

#include <Eigen/Core>

#include <parade/core/error.hpp>
#include <parade/core/types.hpp>
#include <parade/data/sparse_rows.hpp>
#include <parade/io/file.hpp>

// What the fuzz targets share. Each is a program of its own, for Clang's libFuzzer:
//
//   clang++ -std=c++20 -g -O1 -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all -DPARADE_WITH_ZLIB
//     -Iinclude -isystem /usr/include/eigen3 tests/fuzz/libsvm_fuzz.cpp -lz -o libsvm_fuzz
//   mkdir -p corpus && cp tests/fuzz/seeds/libsvm/* corpus && ./libsvm_fuzz -max_len=4096 -max_total_time=300 corpus
//
// Without -fopenmp, since libFuzzer is for one thread; the result of a reader does not depend on threads.
namespace fuzz {

inline void require(bool condition, const char* what) {
  if (condition) return;
  std::fprintf(stderr, "fuzz: %s\n", what);
  std::abort();
}

/// A file of this process, in memory where the system has such a place.
inline std::filesystem::path scratch_file() {
  std::error_code ignored;
  const std::filesystem::path memory = "/dev/shm";
  const auto folder = std::filesystem::is_directory(memory, ignored) ? memory : std::filesystem::temp_directory_path();
  const auto own = folder / ("parade_fuzz_" + std::to_string(::getpid()));
  std::filesystem::create_directory(own);
  static const struct Remove {
    std::filesystem::path path;
    ~Remove() {
      std::error_code failed;
      std::filesystem::remove_all(path, failed);
    }
  } remove{own};
  return own / "file";
}

inline void write(const std::filesystem::path& file, const void* data, std::size_t size) {
  std::FILE* const out = std::fopen(file.c_str(), "wb");
  require(out && std::fwrite(data, 1, size, out) == size && std::fclose(out) == 0, "the scratch file cannot be written");
}

/// The same packed by gzip, whatever the file is called.
inline void write_packed(const std::filesystem::path& file, const void* data, std::size_t size) {
  const auto packed = std::filesystem::path{file} += ".gz";
  parade::detail::write_file(packed, {static_cast<const std::uint8_t*>(data), size});
  std::filesystem::rename(packed, file);
}

/// Changes a bit of one of the bytes behind the first two.
inline void damage(const std::filesystem::path& file, std::size_t which) {
  std::fstream bytes{file, std::ios::in | std::ios::out | std::ios::binary};
  const auto at = static_cast<std::streamoff>(2 + 31 * which % (std::filesystem::file_size(file) - 2));
  bytes.seekg(at);
  const int byte = bytes.get();
  bytes.seekp(at);
  bytes.put(static_cast<char>(byte ^ (1 << which % 8)));
}

inline std::string bytes_of(const std::filesystem::path& file) {
  std::ifstream in{file, std::ios::binary};
  return {std::istreambuf_iterator<char>{in}, {}};
}

/// What was thrown, if anything.
template <class Work>
std::string error_of(const Work& work) {
  try {
    work();
  } catch (const parade::FileError& refused) {
    return refused.what();
  } catch (const parade::DataError& refused) {
    return refused.what();
  } catch (const parade::OptionError& refused) {
    return refused.what();
  }
  return "";
}

/// A NaN is the same as a NaN, +0 not as −0.
template <class T>
  requires std::is_arithmetic_v<T>
bool same_bits(T x, T y) { return (x != x && y != y) || std::memcmp(&x, &y, sizeof x) == 0; }
template <class A, class B>
bool same_bits(const Eigen::PlainObjectBase<A>& a, const Eigen::PlainObjectBase<B>& b) {
  return a.rows() == b.rows() && a.cols() == b.cols() &&
         std::equal(a.data(), a.data() + a.size(), b.data(), [](auto x, auto y) { return same_bits(x, y); });
}

/// All that the rows hold.
template <class S>
bool same(const parade::SparseRows<S>& a, const parade::SparseRows<S>& b) {
  bool sets = a.has_label_sets() == b.has_label_sets();
  for (parade::Index i = 0; sets && a.has_label_sets() && i < a.size(); ++i)
    sets = std::equal(a.label_set(i).begin(), a.label_set(i).end(), b.label_set(i).begin(), b.label_set(i).end());
  return a.offsets() == b.offsets() && a.indices() == b.indices() && same_bits(a.values(), b.values()) &&
         a.num_features() == b.num_features() && a.has_labels() == b.has_labels() && a.num_targets() == b.num_targets() &&
         a.has_weights() == b.has_weights() && (!a.has_labels() || a.labels() == b.labels()) &&
         (a.num_targets() == 0 || same_bits(a.targets(), b.targets())) && (!a.has_weights() || same_bits(a.weights(), b.weights())) &&
         sets && a.has_queries() == b.has_queries() && (!a.has_queries() || a.queries() == b.queries());
}

/// Whether the error is told of a line of the text or, of a packed file, as damage: then it does not depend on how the text is read.
inline bool is_of_text(std::string_view error) {
  return error.find(": line ") != std::string_view::npos || error.find("a whole gzip file") != std::string_view::npos;
}

/// The lines that are not blank: `is_blank` is asked without the line end.
template <class IsBlank>
parade::Index count_lines(std::string_view text, const IsBlank& is_blank) {
  parade::Index count = 0;
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
  for (std::size_t size = 0; !text.empty(); text.remove_prefix(std::min(size + 1, text.size()))) {
    size = std::min(text.find('\n'), text.size());
    if (!is_blank(text.substr(0, size))) ++count;
  }
  return count;
}

}  // namespace fuzz
