// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <system_error>
#include <unistd.h>

#include <Eigen/Core>

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

/// A NaN is the same as a NaN, +0 not as −0.
template <class A, class B>
bool same_bits(const Eigen::PlainObjectBase<A>& a, const Eigen::PlainObjectBase<B>& b) {
  if (a.rows() != b.rows() || a.cols() != b.cols()) return false;
  for (Eigen::Index i = 0; i < a.size(); ++i) {
    const auto x = a.data()[i], y = b.data()[i];
    if (x != x && y != y) continue;
    if (std::memcmp(&x, &y, sizeof x) != 0) return false;
  }
  return true;
}

}  // namespace fuzz
