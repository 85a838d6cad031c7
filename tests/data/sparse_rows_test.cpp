// SPDX-License-Identifier: MIT
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include <parade/data/sparse_rows.hpp>

#include "support/catch.hpp"

namespace {

using Catch::Matchers::Message;
using parade::DataError;
using parade::Index;
using parade::Label;
using parade::Matrix;
using parade::NotFinite;
using parade::SparseRows;
using parade::Vector;

template <class T>
Vector<T> vector(const std::vector<T>& values) {
  return Eigen::Map<const Vector<T>>(values.data(), static_cast<Index>(values.size()));
}

SparseRows<float> rows(const std::vector<std::int64_t>& offsets, const std::vector<std::int32_t>& indices, const std::vector<float>& values,
                       Index features, NotFinite not_finite = NotFinite::refuse) {
  return {vector(offsets), vector(indices), vector(values), features, not_finite};
}

/// The example of the documentation: 3 rows, 4 features.
SparseRows<float> example() { return rows({0, 2, 2, 3}, {1, 3, 0}, {2.5f, 1, 7}, 4); }

}  // namespace

TEST_CASE("rows hold what is there, and dense samples are columns") {
  const auto sparse = example();
  CHECK(sparse.size() == 3);
  CHECK(sparse.num_features() == 4);
  CHECK(sparse.nonzeros() == 3);
  CHECK_FALSE(sparse.all_ones());
  REQUIRE(sparse[0].indices.size() == 2);
  CHECK(sparse[0].indices[1] == 3);
  CHECK(sparse[0].value(0) == 2.5f);
  CHECK(sparse[1].indices.empty());
  Matrix<float> x(4, 3);
  x << 0, 0, 7,  //
      2.5f, 0, 0, 0, 0, 0, 1, 0, 0;
  CHECK(sparse.to_dense() == x);
}

TEST_CASE("without values all are 1") {
  const auto sparse = rows({0, 2, 3}, {0, 2, 1}, {}, 3);
  CHECK(sparse.all_ones());
  CHECK(sparse[0].value(1) == 1);
  Matrix<float> x(3, 2);
  x << 1, 0, 0, 1, 1, 0;
  CHECK(sparse.to_dense() == x);
}

TEST_CASE("there may be no rows, no features and no entries") {
  CHECK(SparseRows<double>{}.size() == 0);
  CHECK(SparseRows<double>{}.to_dense().size() == 0);
  CHECK(rows({0, 0, 0}, {}, {}, 0).size() == 2);
  CHECK(rows({0, 0, 0}, {}, {}, 5).to_dense().isZero(0));
}

TEST_CASE("offsets, indices and values that do not fit are refused with row and rule") {
  const auto refuses = [](const auto& make, const std::string& why) { CHECK_THROWS_MATCHES(make(), DataError, Message(why)); };
  refuses([] { return rows({}, {}, {}, 1); }, "offsets must have n + 1 entries; got none");
  refuses([] { return rows({1, 1}, {0}, {}, 1); }, "offsets must begin with 0; got 1");
  refuses([] { return rows({0, 2, 1, 3}, {0, 1, 2}, {}, 3); }, "offsets must not fall; got 1 after 2, at the end of row 1");
  refuses([] { return rows({0, 2}, {0, 1, 2}, {}, 3); }, "offsets must end with the number of indices, 3; got 2 (n = 1)");
  refuses([] { return rows({0, 4}, {0, 1, 2}, {}, 3); }, "offsets must end with the number of indices, 3; got 4 (n = 1)");
  refuses([] { return rows({0, 2}, {0, 1}, {1}, 3); }, "values must be as many as the indices, 2, or none; got 1");
  refuses([] { return rows({0, 1, 3}, {0, 0, 3}, {}, 3); }, "indices must be in [0, num_features); got 3 in row 1 (num_features = 3)");
  refuses([] { return rows({0, 1, 3}, {0, -1, 2}, {}, 3); }, "indices must be in [0, num_features); got -1 in row 1 (num_features = 3)");
  refuses([] { return rows({0, 1, 4}, {0, 0, 2, 1}, {}, 3); }, "indices must rise within a row; got 1 after 2 in row 1");
  refuses([] { return rows({0, 1, 4}, {0, 0, 2, 2}, {}, 3); }, "indices must rise within a row; got 2 after 2 in row 1");
  refuses([] { return rows({0}, {}, {}, -1); }, "num_features must be in [0, 2^31]; got -1");
  refuses([] { return rows({0}, {}, {}, (Index{1} << 31) + 1); }, "num_features must be in [0, 2^31]; got 2147483649");
  const float nan = std::numeric_limits<float>::quiet_NaN(), infinity = std::numeric_limits<float>::infinity();
  refuses([&] { return rows({0, 1, 1, 3}, {0, 0, 1}, {1, 2, infinity}, 3); }, "values must be finite; got inf in row 2");
  CHECK(rows({0, 1, 1, 3}, {0, 0, 1}, {1, nan, infinity}, 3, NotFinite::keep).values()[2] == infinity);
}

TEST_CASE("labels, targets, sets of labels and queries stand beside the rows, and copies share one memory") {
  const auto sparse = example();
  CHECK_FALSE((sparse.has_labels() || sparse.num_targets() > 0 || sparse.has_label_sets() || sparse.has_queries()));
  Matrix<double> targets(2, 3);
  targets << 1, 2, 3, 4, 5, 6;
  const auto all = sparse.with_labels(vector<Label>({3, -1, 2}))
                       .with_targets(targets)
                       .with_label_sets(vector<std::int64_t>({0, 2, 2, 3}), vector<Label>({1, 4, 0}))
                       .with_queries(vector<std::int64_t>({7, 7, 8}));
  CHECK(all.values().data() == sparse.values().data());
  CHECK(all.label(1) == -1);
  CHECK(all.targets() == targets);
  CHECK(all.label_set(0).size() == 2);
  CHECK(all.label_set(0)[1] == 4);
  CHECK(all.label_set(1).empty());
  CHECK(all.queries()[2] == 8);

  CHECK_THROWS_MATCHES(sparse.with_labels(vector<Label>({1})), DataError,
                       Message("labels must have one entry for each of the n rows; got 1 (n = 3)"));
  CHECK_THROWS_MATCHES(sparse.with_targets(Matrix<double>(0, 3)), DataError, Message("targets must have at least 1 row; got 0"));
  targets(1, 1) = std::numeric_limits<double>::quiet_NaN();
  CHECK_THROWS_MATCHES(sparse.with_targets(targets), DataError, Message("targets must be finite; got nan in sample 1"));
  CHECK_THROWS_MATCHES(sparse.with_queries(vector<std::int64_t>({1})), DataError,
                       Message("queries must have one entry for each of the n rows; got 1 (n = 3)"));
  const auto sets = [&](const std::vector<std::int64_t>& offsets, const std::vector<Label>& ids) {
    return sparse.with_label_sets(vector(offsets), vector(ids));
  };
  CHECK_THROWS_MATCHES(sets({0, 1}, {1}), DataError,
                       Message("label_offsets, without the first, must have one entry for each of the n rows; got 1 (n = 3)"));
  CHECK_THROWS_MATCHES(sets({0, 0, 2, 2}, {4, 4}), DataError, Message("label_ids must rise within a row; got 4 after 4 in row 1"));
  CHECK_THROWS_MATCHES(sets({0, 0, 1, 1}, {-4}), DataError, Message("label_ids must be at least 0; got -4 in row 1"));
  CHECK_THROWS_MATCHES(sets({0, 0, 1, 1}, {}), DataError, Message("label_offsets must end with the number of label_ids, 0; got 1 (n = 3)"));
}
