// SPDX-License-Identifier: MIT
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <random>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include <parade/data/mnist.hpp>

#include "support/catch.hpp"
#include "support/temporary_folder.hpp"

namespace {

namespace fs = std::filesystem;
using Catch::Matchers::ContainsSubstring;
using Catch::Matchers::Message;
using parade::FileError;
using parade::IdxArray;
using parade::Index;
using parade::mnist;

/// A folder with a tiny data set of our own: 5 and 3 images of 2 x 3 pixels.
class TinyMnist {
 public:
  explicit TinyMnist(const std::string& separator = "-", const std::string& ending = "") : separator_{separator}, ending_{ending} {
    write("train", "images", {{5, 2, 3}, std::vector<std::uint8_t>(30, 255)});
    write("train", "labels", {{5}, {5, 0, 4, 1, 9}});
    write("t10k", "images", {{3, 2, 3}, std::vector<std::uint8_t>(18, 51)});
    write("t10k", "labels", {{3}, {7, 2, 1}});
  }
  fs::path file(const std::string& part, const std::string& kind) const {
    return folder / (part + "-" + kind + separator_ + (kind == "images" ? "idx3" : "idx1") + "-ubyte" + ending_);
  }
  void write(const std::string& part, const std::string& kind, const IdxArray& array) const { parade::write_idx(file(part, kind), array); }

  TemporaryFolder temporary;
  const fs::path& folder = temporary.path;

 private:
  std::string separator_, ending_;
};

/// The folder of a real data set, unless there is none.
std::optional<fs::path> real_data(const std::string& name) {
  const char* root = std::getenv("PARADE_DATA");
  if (!root) {
    WARN("SKIPPED: PARADE_DATA is not set to a folder that holds " << name << "/, so the real data was not read");
    return {};
  }
#if !PARADE_HAS_ZLIB
  if (!fs::exists(fs::path{root} / name / "train-images-idx3-ubyte")) {
    WARN("SKIPPED: this program is built without zlib and " << name << " is packed, so the real data was not read");
    return {};
  }
#endif
  return fs::path{root} / name;
}

std::vector<Index> samples_per_label(const parade::DenseData<std::uint8_t>& data) {
  std::vector<Index> count(10, 0);
  for (const auto label : data.labels()) ++count.at(static_cast<std::size_t>(label));
  return count;
}

double mean(const parade::DenseData<std::uint8_t>& data) {
  double sum = 0;
  for (Index i = 0; i < data.size(); ++i) sum += data.values().col(i).cast<double>().sum();
  return sum / static_cast<double>(data.values().size()) / 255;
}

}  // namespace

TEST_CASE("a folder with the four files becomes two data sets, whichever way the files are spelled") {
  std::vector<std::pair<std::string, std::string>> spellings{{"-", ""}, {".", ""}};
  if (PARADE_HAS_ZLIB) spellings.insert(spellings.end(), {{"-", ".gz"}, {".", ".gz"}});
  for (const auto& [separator, ending] : spellings) {
    const TinyMnist tiny{separator, ending};
    const auto [train, test] = mnist(tiny.folder);
    CHECK(train.size() == 5);
    CHECK(test.size() == 3);
    CHECK(train.num_features() == 6);
    CHECK(train.labels() == parade::Vector<parade::Label>{{5, 0, 4, 1, 9}});
    CHECK(test.labels() == parade::Vector<parade::Label>{{7, 2, 1}});
    CHECK((test.values().array() == 51).all());
    CHECK(test.scale() == 1.0 / 255);
  }
}

TEST_CASE("a folder that is not there, or lacks a file, is refused with the names that were looked for") {
  CHECK_THROWS_MATCHES(mnist("no/such/folder"), FileError,
                       Message("no/such/folder: no such folder, where one of these files should be: train-images-idx3-ubyte, "
                               "train-images-idx3-ubyte.gz, train-images.idx3-ubyte, train-images.idx3-ubyte.gz"));
  const TinyMnist tiny;
  fs::remove(tiny.file("t10k", "labels"));
  CHECK_THROWS_MATCHES(mnist(tiny.folder), FileError,
                       Message(tiny.folder.string() + ": has none of these files: t10k-labels-idx1-ubyte, "
                                                      "t10k-labels-idx1-ubyte.gz, t10k-labels.idx1-ubyte, t10k-labels.idx1-ubyte.gz"));
}

TEST_CASE("images and labels that do not fit together are refused") {
  const TinyMnist tiny;
  const auto refused = [&](const std::string& part, const std::string& kind, const IdxArray& wrong, const std::string& why) {
    const auto file = tiny.file(part, kind);
    const auto right = parade::read_idx(file);
    tiny.write(part, kind, wrong);
    CHECK_THROWS_WITH(mnist(tiny.folder), ContainsSubstring(tiny.folder.string()) && ContainsSubstring(why));
    CHECK_THROWS_AS(mnist(tiny.folder), FileError);
    tiny.write(part, kind, right);
    CHECK_NOTHROW(mnist(tiny.folder));
  };
  const std::vector<std::uint8_t> zeros(30, 0);
  refused("train", "labels", {{4}, {1, 2, 3, 4}}, "byte 4: found 4 labels, expected 5, one for each image of");
  refused("train", "labels", {{5}, {0, 1, 10, 3, 4}}, "byte 10: found label 10, expected a label in 0 ... 9");
  refused("t10k", "labels", {{3, 1}, {1, 2, 3}}, "byte 3: found rank 2, expected rank 1");
  refused("train", "images", {{5, 6}, zeros}, "byte 3: found rank 2, expected rank 3");
  refused("train", "images", {{5, 0, 6}, {}}, "byte 8: found images without pixels");
}

TEST_CASE("the two parts must have images of the same size") {
  const TinyMnist tiny;
  tiny.write("t10k", "images", {{3, 2, 2}, std::vector<std::uint8_t>(12, 0)});
  CHECK_THROWS_MATCHES(mnist(tiny.folder), FileError,
                       Message(tiny.folder.string() + ": the images of t10k have 4 pixels, those of train 6; expected the same number"));
}

TEST_CASE("MNIST is read as it was published") {
  const auto folder = real_data("mnist");
  if (!folder) return;
  const auto [train, test] = mnist(*folder);
  CHECK(train.size() == 60000);
  CHECK(test.size() == 10000);
  CHECK(train.num_features() == 784);
  CHECK(samples_per_label(train) == std::vector<Index>{5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949});
  CHECK(samples_per_label(test) == std::vector<Index>{980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009});
  CHECK(train.labels().head(5) == parade::Vector<parade::Label>{{5, 0, 4, 1, 9}});
  CHECK(test.labels().head(4) == parade::Vector<parade::Label>{{7, 2, 1, 0}});
  CHECK(std::abs(mean(train) - 0.1307) < 0.0001);  // as often quoted, with these four digits
}

TEST_CASE("Fashion-MNIST is read as it was published") {
  const auto folder = real_data("fashion-mnist");
  if (!folder) return;
  const auto [train, test] = mnist(*folder);
  CHECK(samples_per_label(train) == std::vector<Index>(10, 6000));
  CHECK(samples_per_label(test) == std::vector<Index>(10, 1000));
  CHECK(std::abs(mean(train) - 0.2860) < 0.0001);
}
