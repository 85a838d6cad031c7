// SPDX-License-Identifier: MIT
// Any bytes as NPY files, the arrays of an NPZ file, or IDX files, plain, packed or damaged, that become a cache some rows at a time: the cache of the
// same arrays in memory, or refused like these. See fuzz.hpp.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <parade/data/cache.hpp>
#include <parade/data/dense_data.hpp>
#include <parade/data/make_cache.hpp>
#include <parade/io/idx.hpp>
#include <parade/io/npy.hpp>

#include "fuzz.hpp"

namespace {

using parade::Index;
using parade::Label;
using parade::Matrix;
using parade::Vector;

struct Files {
  std::filesystem::path features, rest, made, written;  // rest: labels or targets
  Index bytes = 0;                                      // of rows in memory at a time
};

/// One of the two is the cache of `data()`, which is what a user would do in memory; the other is what `make` makes.
template <class Data, class Make>
void check(const Files& files, const parade::CacheOptions& options, const Data& data, const Make& make) {
  std::filesystem::remove(files.made);
  const auto expected = fuzz::error_of([&] { parade::write_cache(files.written, data(), options); });
  const auto error = fuzz::error_of([&] { make(files.made, options); });
  fuzz::require(error.empty() || !std::filesystem::exists(files.made), "something is left of a cache that was refused");
  // The values of a row lie all over the file, or it is too long for a cache, which a header may say of no rows at all.
  if (error.find("Fortran order") != std::string::npos || error.find("at most 2^27 values") != std::string::npos) return;
  fuzz::require(error.empty() == expected.empty(), "one is refused and the other is not");
  fuzz::require(!error.empty() || fuzz::bytes_of(files.made) == fuzz::bytes_of(files.written), "caches differ");
}

template <class T>
parade::DenseData<T> data_of(Matrix<T> x, const std::optional<Matrix<Label>>& labels, std::optional<Matrix<double>> targets,
                             parade::NotFinite not_finite) {
  if (x.rows() == 0) throw parade::DataError("no features");
  parade::DenseData<T> data{std::move(x), not_finite};
  if (labels) {
    if (labels->rows() != 1) throw parade::DataError("labels must be one value a row");
    data = data.with_labels(Vector<Label>{labels->row(0).transpose()});
  }
  if (targets) data = data.with_targets(std::move(*targets));
  return data;
}

/// What stands beside the features.
enum class Rest { none, labels, targets, both };

template <class T>
void check_npy(const Files& files, const parade::CacheOptions& options, Rest rest, parade::NotFinite not_finite) {
  const bool labels = rest == Rest::labels || rest == Rest::both, targets = rest == Rest::targets || rest == Rest::both;
  check(
      files, options,
      [&] {
        return data_of(parade::read_npy<T>(files.features), labels ? std::optional{parade::read_npy<Label>(files.rest)} : std::nullopt,
                       targets ? std::optional{parade::read_npy<double>(files.rest)} : std::nullopt, not_finite);
      },
      [&](const std::filesystem::path& made, const parade::CacheOptions& of) {
        parade::detail::make_cache<T>(parade::NpyFiles{.features = files.features,
                                                       .labels = labels ? files.rest : "",
                                                       .targets = targets ? files.rest : "",
                                                       .not_finite = not_finite},
                                      made, of, files.bytes);
      });
}

template <class T>
void check_npz(const Files& files, const parade::CacheOptions& options, Rest rest, parade::NotFinite not_finite, std::size_t which) {
  std::vector<std::string> names;
  try {
    names = parade::NpzFile{files.features}.names();
  } catch (const parade::FileError&) {
  }
  std::erase(names, "");  // stands for none
  const std::string name = names.empty() ? "x" : names[which % names.size()], other = names.empty() ? "y" : names[which / 3 % names.size()];
  const bool labels = rest == Rest::labels || rest == Rest::both, targets = rest == Rest::targets || rest == Rest::both;
  check(
      files, options,
      [&] {
        const parade::NpzFile npz{files.features};
        return data_of(npz.read<T>(name), labels ? std::optional{npz.read<Label>(other)} : std::nullopt,
                       targets ? std::optional{npz.read<double>(other)} : std::nullopt, not_finite);
      },
      [&](const std::filesystem::path& made, const parade::CacheOptions& of) {
        parade::detail::make_cache<T>(parade::NpzArrays{.file = files.features,
                                                        .features = name,
                                                        .labels = labels ? other : "",
                                                        .targets = targets ? other : "",
                                                        .not_finite = not_finite},
                                      made, of, files.bytes);
      });
}

void check_idx(const Files& files, const parade::CacheOptions& options, Rest rest) {
  const bool labels = rest != Rest::none;
  check(
      files, options,
      [&] {
        const auto images = parade::read_idx(files.features);
        Index d = 1;
        for (std::size_t i = 1; i < images.shape.size(); ++i) d *= images.shape[i];
        if (images.shape[0] > 0 && d == 0) throw parade::DataError("no features");
        Matrix<std::uint8_t> x(d, images.shape[0]);
        std::copy(images.values.begin(), images.values.end(), x.data());
        std::optional<Matrix<Label>> y;
        if (labels) {
          const auto array = parade::read_idx(files.rest);
          if (array.shape.size() != 1) throw parade::DataError("labels must be one value a row");
          y.emplace(1, array.shape[0]);
          std::copy(array.values.begin(), array.values.end(), y->data());
        }
        return data_of(std::move(x), y, std::nullopt, parade::NotFinite::refuse);
      },
      [&](const std::filesystem::path& made, const parade::CacheOptions& of) {
        parade::detail::make_cache(parade::IdxFiles{files.features, labels ? files.rest : ""}, made, of, files.bytes);
      });
}

}  // namespace

/// The first four bytes choose format, types and packing, and where the second file begins.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 4) return 0;
  static Files files = [] {
    const auto file = fuzz::scratch_file();
    const auto folder = file.parent_path();
    return Files{file, folder / "rest", folder / "made", folder / "written", 0};
  }();
  const std::uint8_t *bytes = data + 4, kind = data[0], how = data[1];
  size -= 4;
  const bool is_npz = (kind & 3) >= 2;
  const std::size_t first = is_npz ? size : std::min<std::size_t>(size, data[2] + 256u * (data[3] % 16u));
  const auto put = [&](const std::filesystem::path& file, const std::uint8_t* from, std::size_t count, bool packed) {
    if (!packed) return fuzz::write(file, from, count);
    fuzz::write_packed(file, from, count);
    if (how & 128) fuzz::damage(file, data[3]);
  };
  put(files.features, bytes, first, !is_npz && (how & 1));
  put(files.rest, bytes + first, size - first, how & 2);
  const parade::CacheOptions options{.rows_per_block = how >> 2 & 3};
  files.bytes = 1 + 16 * (how >> 5 & 3);
  const auto rest = static_cast<Rest>(kind >> 2 & 3);
  const auto not_finite = how & 16 ? parade::NotFinite::keep : parade::NotFinite::refuse;
  const int type = kind >> 4 & 3;
  if ((kind & 3) == 0) {
    check_idx(files, options, rest);
  } else if ((kind & 3) == 1) {
    type == 0   ? check_npy<float>(files, options, rest, not_finite)
    : type == 1 ? check_npy<double>(files, options, rest, not_finite)
                : check_npy<std::uint8_t>(files, options, rest, not_finite);
  } else {
    type == 0   ? check_npz<float>(files, options, rest, not_finite, data[2])
    : type == 1 ? check_npz<double>(files, options, rest, not_finite, data[2])
                : check_npz<std::uint8_t>(files, options, rest, not_finite, data[2]);
  }
  return 0;
}
