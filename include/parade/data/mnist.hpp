// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <string>
#include <system_error>
#include <utility>

#include <parade/core/error.hpp>
#include <parade/data/dense_data.hpp>
#include <parade/io/idx.hpp>

namespace parade {
namespace detail {

/// <part>-<kind>-ubyte in `folder`, in either spelling, plain or packed.
inline std::filesystem::path find_mnist_file(const std::filesystem::path& folder, const std::string& part, const std::string& kind) {
  std::string tried;
  for (const char* separator : {"-", "."})
    for (const char* packed : {"", ".gz"}) {
      const auto name = part + separator + kind + "-ubyte" + packed;
      std::error_code ignored;
      if (std::filesystem::exists(folder / name, ignored)) return folder / name;
      tried += (tried.empty() ? "" : ", ") + name;
    }
  std::error_code ignored;
  const char* problem = std::filesystem::is_directory(folder, ignored) ? ": has none of these files: "
                                                                       : ": no such folder, where one of these files should be: ";
  throw FileError(text(folder.string(), problem, tried));
}

inline DenseData<std::uint8_t> read_mnist_part(const std::filesystem::path& folder, const std::string& part) {
  const auto images_file = find_mnist_file(folder, part + "-images", "idx3");
  const auto labels_file = find_mnist_file(folder, part + "-labels", "idx1");
  auto images = read_idx(images_file);
  const auto labels = read_idx(labels_file);
  if (images.shape.size() != 3) fail_at(images_file, 3, text("rank ", images.shape.size()), "rank 3 (images x rows x columns)");
  if (labels.shape.size() != 1) fail_at(labels_file, 3, text("rank ", labels.shape.size()), "rank 1 (labels)");
  if (images.shape[0] != labels.shape[0])
    fail_at(labels_file, 4, text(labels.shape[0], " labels"), text(images.shape[0], ", one for each image of ", images_file.string()));
  const auto bad = std::find_if(labels.values.begin(), labels.values.end(), [](std::uint8_t label) { return label > 9; });
  if (bad != labels.values.end())
    fail_at(labels_file, static_cast<std::uint64_t>(8 + (bad - labels.values.begin())), text("label ", int{*bad}), "a label in 0 ... 9");

  const Index pixels = images.shape[1] * images.shape[2];  // d
  if (pixels == 0) fail_at(images_file, 8, "images without pixels", "at least one");
  return DenseData<std::uint8_t>{std::move(images.values), pixels}.with_labels(
      Eigen::Map<const Vector<std::uint8_t>>{labels.values.data(), labels.shape[0]}.cast<Label>());
}

}  // namespace detail

/// Reads MNIST, or a data set in the same files such as Fashion-MNIST, from a folder:
///
///   const auto [train, test] = parade::mnist("data/mnist");   // 60000 and 10000 images, d = 28·28, pixels in [0, 1], labels 0 … 9
///
/// The four files are {train,t10k}-images-idx3-ubyte and {train,t10k}-labels-idx1-ubyte, where a dot may stand before "idx", and ".gz" at the
/// end; of two spellings the plain file is taken, and the dash before the dot.
///
/// Throws FileError, naming the file: for a folder or file that is not there, what `read_idx` throws for, not one label for each image, a label
/// above 9, and images of another size in the two parts.
inline TrainTest<DenseData<std::uint8_t>> mnist(const std::filesystem::path& folder) {
  TrainTest<DenseData<std::uint8_t>> data{detail::read_mnist_part(folder, "train"), detail::read_mnist_part(folder, "t10k")};
  if (data.test.num_features() != data.train.num_features())
    throw FileError(detail::text(folder.string(), ": the images of t10k have ", data.test.num_features(), " pixels, those of train ",
                                 data.train.num_features(), "; expected the same number"));
  return data;
}

}  // namespace parade
