// SPDX-License-Identifier: MIT
#include <cmath>
#include <cstdint>
#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

#include <parade/core/hash.hpp>
#include <parade/data/subset.hpp>
#include <parade/prepare/impute.hpp>
#include <parade/prepare/max_abs.hpp>
#include <parade/prepare/min_max.hpp>
#include <parade/prepare/one_hot.hpp>
#include <parade/prepare/pipeline.hpp>
#include <parade/prepare/polynomial_features.hpp>
#include <parade/prepare/standardize.hpp>
#include <parade/prepare/tf_idf.hpp>
#include <parade/prepare/unit_norm.hpp>

#include "support/catch.hpp"
#include "support/numbers.hpp"
#include "support/reference.hpp"

namespace {

using namespace parade;
using Catch::Matchers::ContainsSubstring;
using Catch::Matchers::Message;
using numbers::random_matrix, numbers::same_bits;

constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();

const nlohmann::json& figures() {
  static const nlohmann::json file = reference::read_own("preparation.json");
  return file;
}

/// Lists in a list as columns; null is NaN.
Matrix<double> table(const nlohmann::json& lists) {
  Matrix<double> x(static_cast<Index>(lists.at(0).size()), static_cast<Index>(lists.size()));
  for (Index j = 0; j < x.cols(); ++j)
    for (Index i = 0; i < x.rows(); ++i) {
      const auto& value = lists.at(static_cast<std::size_t>(j)).at(static_cast<std::size_t>(i));
      x(i, j) = value.is_null() ? not_a_number : value.get<double>();
    }
  return x;
}
Matrix<double> table(const char* name) { return table(figures().at(name)); }
const nlohmann::json& figures_of(const std::string& name) { return figures().at("cases").at(name); }
Vector<double> learned(const std::string& name, const char* what) { return reference::vector(figures_of(name).at(what)); }

/// Row by row, relative to the largest of the row; `slack` for each row where a figure itself is no closer to the truth.
void check_close(const Matrix<double>& actual, const Matrix<double>& expected, const Vector<double>& slack = {}) {
  REQUIRE(actual.rows() == expected.rows());
  REQUIRE(actual.cols() == expected.cols());
  for (Index i = 0; i < expected.rows(); ++i) {
    double largest = 0;
    for (Index j = 0; j < expected.cols(); ++j)
      if (!std::isnan(expected(i, j))) largest = std::max(largest, std::abs(expected(i, j)));
    for (Index j = 0; j < expected.cols(); ++j) {
      CAPTURE(i, j, actual(i, j), expected(i, j));
      if (std::isnan(expected(i, j)))
        CHECK(std::isnan(actual(i, j)));
      else
        CHECK(std::abs(actual(i, j) - expected(i, j)) <= reference::tolerance * largest + (slack.size() > 0 ? slack[i] : 0));
    }
  }
}

template <class P>
void check_case(const std::string& name, P stage, const char* train, const char* test, const Vector<double>& slack = {}) {
  INFO(name);
  const Matrix<double> before = table(test);
  check_close(stage.fit(table(train)).transform(before), table(figures_of(name).at("z")), slack);
}

/// The entries of a table that are not 0.
SparseRows<double> sparse(const Matrix<double>& x) {
  Vector<std::int64_t> offsets(x.cols() + 1);
  std::vector<std::int32_t> indices;
  std::vector<double> values;
  offsets[0] = 0;
  for (Index j = 0; j < x.cols(); ++j) {
    for (Index i = 0; i < x.rows(); ++i)
      if (x(i, j) != 0) {
        indices.push_back(static_cast<std::int32_t>(i));
        values.push_back(x(i, j));
      }
    offsets[j + 1] = static_cast<std::int64_t>(indices.size());
  }
  return {offsets, Vector<std::int32_t>::Map(indices.data(), static_cast<Index>(indices.size())),
          Vector<double>::Map(values.data(), static_cast<Index>(values.size())), x.rows()};
}

/// Dense and sparse.
template <class P>
void check_both(const std::string& name, P stage, const Matrix<double>& train, const Matrix<double>& test) {
  INFO(name);
  const Matrix<double> expected = table(figures_of(name).at("z"));
  check_close(P(stage).fit(train).transform(test), expected);
  check_close(stage.fit(sparse(train)).transform(sparse(test)).to_dense(), expected);
}

/// Numbers of all sizes, of which some are missing.
Matrix<double> messy(Index d, Index n) {
  Matrix<double> x = random_matrix<double>(d, n, 7);
  for (Index i = 0; i < d; ++i) x.row(i) *= std::pow(10.0, static_cast<double>(i % 5));
  for (Index k = 0; k < x.size(); k += 7) x.data()[k] = not_a_number;
  return x;
}

/// Of what a stage holds and of what it makes of the data.
template <class P, class Z>
std::uint64_t hash_of(const P& stage, const Z& z) {
  std::vector<double> all(z.data(), z.data() + z.size());
  P::visit_state(stage, [&](const char*, const auto& member) {
    if constexpr (std::is_same_v<std::remove_cvref_t<decltype(member)>, Vector<double>>)
      all.insert(all.end(), member.begin(), member.end());
    else
      all.push_back(static_cast<double>(member));
  });
  for (double& value : all)
    if (std::isnan(value)) value = not_a_number;  // processors give it different signs
  return hash_bytes(std::as_bytes(std::span{all}));
}

/// As a user writes it: x becomes x and x − the first sample.
struct FromFirst {
  Vector<double> first{};

  [[maybe_unused]] static constexpr const char* kind = "from_first";
  Index num_inputs() const { return first.size(); }
  Index num_outputs() const { return 2 * first.size(); }
  void fit_samples(const Samples& samples, Team&) {
    first.resize(samples.num_features());
    samples.read({0, 1}, first.data());
  }
  void transform_sample(Index, const double* x, double* out) const {
    for (Index i = 0; i < first.size(); ++i) {
      out[i] = x[i];
      out[first.size() + i] = x[i] - first[i];
    }
  }
  template <class Self, class Visit>
  static void visit_state(Self& self, const Visit& visit) {
    visit("first", self.first);
  }
};
static_assert(Preparation<FromFirst> && !SparsePreparation<FromFirst>);

}  // namespace

TEST_CASE("standardize is that of scikit-learn, constant columns and missing numbers included") {
  // The second column has a mean of 1e8: what rounding does to that, |mean| ε / deviation, is no error of either.
  Vector<double> slack = Vector<double>::Zero(5);
  slack[1] = 2 * 1e8 * 0x1p-52;
  slack[2] = 2 * 0.1 * 0x1p-52;  // constant: scikit-learn's mean is not the constant
  check_case("standardize", Standardize{}, "train", "test", slack);
  check_case("standardize_center", Standardize{.scale = false}, "train", "test", slack);
  check_case("standardize_scale", Standardize{.center = false}, "train", "test");
  check_case("standardize_missing", Standardize{}, "missing", "missing_test");
  const auto fitted = Standardize{}.fit(table("train"));
  CHECK(reference::relative_error(fitted.mean, learned("standardize", "mean")) <= reference::tolerance);
  for (Index i = 0; i < 5; ++i)
    CHECK(reference::relative_error(fitted.deviation[i], learned("standardize", "deviation")[i]) <= reference::tolerance);
  CHECK(fitted.deviation[2] == 1);
  CHECK(fitted.deviation[3] == 1);
  check_both("standardize_sparse", Standardize{.center = false}, table("counts"), table("counts_test"));
  const auto rows = Standardize{.center = false}.fit(sparse(table("counts")));
  CHECK(reference::relative_error(rows.deviation, learned("standardize_sparse", "deviation")) <= reference::tolerance);
}

TEST_CASE("min-max and max-abs are those of scikit-learn") {
  check_case("min_max", MinMax{}, "train", "test", Vector<double>::Constant(5, 2 * 1e8 * 0x1p-52));
  check_case("min_max_clip", MinMax{.low = -1, .high = 2, .clip = true}, "train", "test", Vector<double>::Constant(5, 6 * 1e8 * 0x1p-52));
  check_case("min_max_missing", MinMax{}, "missing", "missing_test");
  const auto fitted = MinMax{}.fit(table("train"));
  CHECK(fitted.minimum == learned("min_max", "minimum"));
  CHECK(fitted.maximum == learned("min_max", "maximum"));
  check_case("max_abs", MaxAbs{}, "train", "test");
  CHECK(MaxAbs{}.fit(table("train")).largest == learned("max_abs", "largest"));
  check_both("max_abs_counts", MaxAbs{}, table("counts"), table("counts_test"));
}

TEST_CASE("unit norms are those of scikit-learn") {
  for (const auto& [name, norm] : {std::pair{"l1", Norm::l1}, std::pair{"l2", Norm::l2}, std::pair{"max", Norm::max}}) {
    check_both(std::string("unit_norm_") + name, UnitNorm{.norm = norm}, table("counts"), table("counts_test"));
    check_case(std::string("unit_norm_train_") + name, UnitNorm{.norm = norm}, "train", "test");
  }
  const Matrix<double> same = table("counts");
  CHECK(same_bits(UnitNorm{.norm = Norm::none}.fit(same).transform(same), same));
}

TEST_CASE("a norm holds where squares do not fit into double, and NaN stays NaN") {
  Matrix<double> x(2, 5);
  x << 3e200, 3e-200, 0, not_a_number, 1, 4e200, 4e-200, 0, 1, not_a_number;
  for (const auto norm : {Norm::l1, Norm::l2, Norm::max}) {
    const auto z = UnitNorm{.norm = norm}.fit(x.leftCols(3)).transform(x);
    const double length = norm == Norm::l1 ? 7 : norm == Norm::l2 ? 5 : 4;
    CHECK(std::abs(z(0, 0) - 3 / length) < 1e-15);
    CHECK(std::abs(z(1, 1) - 4 / length) < 1e-15);
    CHECK((z(0, 2) == 0 && z(1, 2) == 0));
    CHECK(z.rightCols(2).array().isNaN().all());
  }
}

TEST_CASE("TF-IDF is that of scikit-learn, for every choice of options") {
  for (const auto& [name, norm] : {std::pair{"l1", Norm::l1}, std::pair{"l2", Norm::l2}, std::pair{"None", Norm::none}})
    for (const bool smooth : {true, false})
      for (const bool sublinear : {true, false}) {
        Matrix<double> train = table("counts");
        if (!smooth) train(6, 0) = 1;
        const auto full = std::string("tf_idf_") + name + (smooth ? "_1" : "_0") + (sublinear ? "_1" : "_0");
        const TfIdf tf_idf{.norm = norm, .smooth = smooth, .sublinear = sublinear};
        check_both(full, tf_idf, train, table("counts_test"));
        CHECK(reference::relative_error(TfIdf(tf_idf).fit(sparse(train)).idf, learned(full, "idf")) <= reference::tolerance);
      }
  check_both("tf_idf_plain", TfIdf{.use_idf = false}, table("counts"), table("counts_test"));
  // Without smoothing a word that nobody has counts as one that one document has.
  const auto bare = TfIdf{.smooth = false}.fit(table("counts"));
  CHECK(std::abs(bare.idf[6] - (1 + std::log(30.0))) < 1e-14);
}

TEST_CASE("TF-IDF with logarithms refuses negative counts, and says where they are, and without logarithms they are numbers like others") {
  Matrix<double> counts = Matrix<double>::Ones(5, 9);
  counts(0, 6) = 0;
  const Pipeline fitted{TfIdf(TfIdf{.sublinear = true}).fit(counts), MaxAbs(MaxAbs{}).fit(counts)};
  counts(3, 7) = -2;
  const std::string why = "TfIdf.sublinear takes 1 + log of counts, which must be at least 0; got -2 in ";
  const auto tf_idf = TfIdf(TfIdf{.sublinear = true}).fit(counts);
  CHECK_THROWS_MATCHES(tf_idf.transform(counts, 3), DataError, Message(why + "column 3 of sample 7"));
  CHECK_THROWS_MATCHES(tf_idf.transform(sparse(counts), 3), DataError, Message("row 7: " + why + "feature 3"));
  CHECK_THROWS_MATCHES(fitted.transform(counts), DataError, Message(why + "column 3 of sample 7"));
  CHECK_THROWS_MATCHES((Pipeline{TfIdf{.sublinear = true}, MaxAbs{}}.fit(sparse(counts))), DataError,
                       Message("row 7: " + why + "feature 3"));
  // In the data that the user gave: samples of weight 0 are counted too, also where a stage is fitted to what others make of the samples.
  Vector<double> weights = Vector<double>::Ones(9);
  for (const Index absent : {0, 1, 5}) weights[absent] = 0;
  const DenseData<double> data = DenseData<double>{counts}.with_weights(weights);
  CHECK_THROWS_MATCHES((Pipeline{TfIdf{.sublinear = true}, MaxAbs{}}.fit(data)), DataError, Message(why + "column 3 of sample 7"));
  CHECK_THROWS_WITH((Pipeline{Pipeline{UnitNorm{}, TfIdf{.sublinear = true}}, MaxAbs{}, MaxAbs{}}.fit(data)),
                    ContainsSubstring("column 3 of sample 7"));
  CHECK_THROWS_MATCHES((Pipeline{TfIdf{.sublinear = true}, MaxAbs{}}.fit(sparse(counts).with_weights(weights))), DataError,
                       Message("row 7: " + why + "feature 3"));
  CHECK(TfIdf{}.fit(counts).transform(counts)(3, 7) < 0);
  counts(3, 7) = not_a_number;
  CHECK(std::isnan(tf_idf.transform(counts)(3, 7)));

  auto damaged = tf_idf;
  damaged.idf[2] = std::numeric_limits<double>::infinity();
  CHECK_THROWS_MATCHES(damaged.settle(), DataError, Message("tf_idf: idf must be finite; got inf for feature 2"));
}

TEST_CASE("impute is that of scikit-learn") {
  for (const auto& [name, by] :
       {std::pair{"mean", Fill::mean}, std::pair{"median", Fill::median}, std::pair{"most_frequent", Fill::most_frequent}}) {
    check_case(std::string("impute_") + name, Impute{.by = by}, "missing", "missing_test");
    CHECK(reference::relative_error(Impute{.by = by}.fit(table("missing")).fill, learned(std::string("impute_") + name, "fill")) <=
          reference::tolerance);
  }
  check_case("impute_constant", Impute{.by = Fill::constant, .constant = -7.5}, "missing", "missing_test");
  Matrix<double> x(2, 2);
  x << not_a_number, not_a_number, 0x1.8p1023, 0x1.8p1023;
  for (const auto by : {Fill::median, Fill::most_frequent, Fill::constant}) {
    const auto fitted = Impute{.by = by, .constant = 4}.fit(x);
    CHECK(fitted.fill[0] == 4);
    CHECK(fitted.fill[1] == (by == Fill::constant ? 4 : 0x1.8p1023));
  }
}

TEST_CASE("one-hot is that of scikit-learn, and leaves other columns alone") {
  check_case("one_hot", OneHot{}, "categories", "categories_test");
  Matrix<double> x(3, 4);
  x << 0.5, 1.5, 2.5, 3.5, 7, -2, 7, not_a_number, 1, 2, 3, 4;
  const auto fitted = OneHot{.columns = {1}}.fit(x);
  Matrix<double> expected(4, 4);
  expected << 0.5, 1.5, 2.5, 3.5, 0, 1, 0, 0, 1, 0, 1, 0, 1, 2, 3, 4;
  CHECK(fitted.transform(x) == expected);
  CHECK(fitted.categories_of(1).size() == 2);
  CHECK(fitted.categories_of(1)[0] == -2);
  CHECK(fitted.categories_of(0).empty());
  CHECK(fitted.categories_of(2).empty());

  x(1, 0) = 8;
  CHECK(fitted.transform(x).col(0).sum() == 1.5);
  CHECK_THROWS_MATCHES((OneHot{.columns = {1}, .unseen = Unseen::error}.fit(x.rightCols(3)).transform(x)), DataError,
                       Message("column 1 must hold categories that OneHot was fitted to; got 8 in sample 0"));
  CHECK_THROWS_MATCHES(OneHot{}.fit(x), DataError, Message("column 0 must hold categories, whole numbers up to 2^53; got 0.5 in sample 0"));
  CHECK_THROWS_MATCHES((OneHot{.columns = {3}}.fit(x)), OptionError, Message("OneHot.columns must be in [0, d); got 3 (d = 3)"));
  CHECK_THROWS_MATCHES((OneHot{.columns = {1, 1}}.fit(x)), OptionError, Message("OneHot.columns must hold each column once; got 1 twice"));
}

TEST_CASE("polynomial features are those of scikit-learn, in its order") {
  const auto three = [](const char* name) {
    const Matrix<double> x = table(name);
    Matrix<double> some(3, x.cols());
    some << x.row(0), x.row(4), x.row(2);
    return some;
  };
  for (const Index degree : {0, 1, 2, 3, 4})
    for (const bool interaction : {false, true})
      for (const bool bias : {false, true}) {
        if (degree == 0 && !bias) continue;
        const auto name = detail::text("polynomial_", degree, interaction ? "_1" : "_0", bias ? "_1" : "_0");
        INFO(name);
        check_close(PolynomialFeatures{.degree = degree, .interaction_only = interaction, .include_bias = bias}
                        .fit(three("train"))
                        .transform(three("test")),
                    table(figures_of(name).at("z")));
      }
  CHECK(PolynomialFeatures{}.fit(random_matrix<double>(100, 1, 1)).num_outputs() == 5151);
  CHECK_THROWS_MATCHES(PolynomialFeatures{.degree = 65}.fit(three("train")), OptionError,
                       Message("PolynomialFeatures.degree must be in [0, 64]; got 65"));
  CHECK_THROWS_WITH((PolynomialFeatures{.degree = 0, .include_bias = false}.fit(three("train"))), ContainsSubstring("at least 1"));
  CHECK_THROWS_WITH(PolynomialFeatures{.degree = 9}.fit(random_matrix<double>(100, 1, 1)), ContainsSubstring("at most 2^24"));
}

TEST_CASE("a pipeline fits each stage to what those before it make, as scikit-learn's") {
  Pipeline prepare{Impute{.by = Fill::median}, PolynomialFeatures{.include_bias = false}, Standardize{}};
  check_case("pipeline", prepare, "missing", "missing_test");

  // Step by step.
  const Matrix<double> x = table("missing");
  const auto impute = Impute{.by = Fill::median}.fit(x);
  const auto filled = impute.transform(x);
  const auto products = PolynomialFeatures{.include_bias = false}.fit(filled).transform(filled);
  const auto standardize = Standardize{}.fit(products);
  prepare.fit(x);
  CHECK(same_bits(prepare.get<0>().fill, impute.fill));
  CHECK(same_bits(prepare.get<2>().mean, standardize.mean));
  CHECK(same_bits(prepare.transform(x), standardize.transform(products)));
  // A pipeline is a stage.
  Pipeline nested{Pipeline{Impute{.by = Fill::median}, PolynomialFeatures{.include_bias = false}}, Standardize{}};
  CHECK(same_bits(nested.fit(x).transform(x), prepare.transform(x)));

  Pipeline counts{MaxAbs{}, TfIdf{}, UnitNorm{.norm = Norm::l1}};
  const auto rows = sparse(table("counts"));
  const auto scaled = MaxAbs{}.fit(rows).transform(rows);
  const auto weighted = TfIdf{}.fit(scaled).transform(scaled);
  CHECK(same_bits(counts.fit(rows).transform(rows).values(), UnitNorm{.norm = Norm::l1}.fit(weighted).transform(weighted).values()));
}

TEST_CASE("what is fitted has the same bits on any number of threads, and a pinned hash") {
  const Matrix<double> x = messy(11, 5000);
  const Matrix<double> whole = x.unaryExpr([](double value) { return std::trunc(value / 300); });
  Matrix<double> thin = x;
  for (Index k = 0; k < thin.size(); ++k)
    if (k % 7 == 0 || k % 3 == 0) thin.data()[k] = 0;
  const auto rows = sparse(thin);
  const auto check = [](auto stage, const auto& data, std::uint64_t pinned) {
    INFO(stage.kind);
    for (int threads = 1; threads <= 8; ++threads) {
      CAPTURE(threads);
      stage.fit(data, threads);
      const auto z = stage.transform(data, threads);
      if constexpr (requires { z.values(); })
        CHECK(hash_of(stage, z.values()) == pinned);
      else
        CHECK(hash_of(stage, z) == pinned);
    }
  };
  check(Standardize{}, x, 0xcf0510c4a6dca750u);
  check(MinMax{}, x, 0x5361c3695cf80d73u);
  check(MaxAbs{}, x, 0x5377f0e91bc0bb42u);
  check(UnitNorm{}, x, 0x4b05a994c2b0b773u);
  check(Impute{}, x, 0x7cbbe2aa3ef0288au);
  check(Impute{.by = Fill::median}, x, 0xe17e0b0bd29234f6u);
  check(Impute{.by = Fill::most_frequent}, whole, 0x464adb11073e8bb6u);
  check(OneHot{}, whole, 0x42fad6f0a53751acu);
  check(PolynomialFeatures{}, x, 0x3f6ba0418ffeb0abu);
  check(Standardize{.center = false}, rows, 0xc639bc6b7b1e5432u);
  check(MaxAbs{}, rows, 0xfe66e63d91d4e300u);
  check(UnitNorm{}, rows, 0x21fbb16129d99602u);
  check(TfIdf{}, rows, 0x86c3059f7887525u);
}

TEST_CASE("the mean is right to the last digits, and a large one does not hurt the deviation") {
  const Index n = 100000;
  Matrix<double> x(2, n);
  for (Index j = 0; j < n; ++j) {
    x(0, j) = 1e9 + static_cast<double>(j % 2);  // mean 1e9 + 1/2, deviation 1/2
    x(1, j) = 0.1;                               // constant
  }
  const auto fitted = Standardize{}.fit(x);
  CHECK(fitted.mean[0] == 1e9 + 0.5);
  CHECK(std::abs(fitted.deviation[0] - 0.5) < 1e-15);
  CHECK(fitted.mean[1] == 0.1);
  CHECK(fitted.deviation[1] == 1);
}

TEST_CASE("a data set keeps labels, targets and weights, and a sample of weight 0 is absent from the fit") {
  Matrix<float> x(1, 4);
  x << 1, 2, 1000, 3;
  Vector<double> weights(4);
  weights << 1, 2, 0, 1;
  Matrix<double> targets(1, 4);
  targets << 5, 6, 7, 8;
  const auto data = DenseData<float>{x}.with_labels(Vector<Label>{{0, 1, 2, 3}}).with_targets(targets).with_weights(weights);
  const auto fitted = Standardize{}.fit(data);
  CHECK(fitted.mean[0] == 2);
  const auto prepared = fitted.transform(data);
  static_assert(std::is_same_v<std::remove_cvref_t<decltype(prepared)>, DenseData<float>>);
  CHECK(prepared.labels() == data.labels());
  CHECK(prepared.targets() == targets);
  CHECK(prepared.weights() == weights);
  CHECK(prepared.values()(0, 1) == 0);
  CHECK(MinMax{}.fit(data).maximum[0] == 3);
  CHECK(OneHot{}.fit(data).num_outputs() == 3);

  // A subset, 8-bit values as they reach a batch, and an empty data set.
  const Subset part{data, {3, 1, 3}};
  CHECK(Standardize{}.fit(part).mean[0] == Standardize{}.fit(Matrix<double>{{3, 2, 3}}).mean[0]);
  CHECK(fitted.transform(part).labels() == Vector<Label>{{3, 1, 3}});
  const DenseData<std::uint8_t> bytes{Matrix<std::uint8_t>{{0, 255}}};
  CHECK(MinMax{}.fit(bytes).maximum[0] == 1);
  CHECK(fitted.transform(DenseData<float>{Matrix<float>(1, 0)}).size() == 0);
  CHECK(fitted.transform(Matrix<double>(1, 0)).cols() == 0);

  const auto rows = sparse(table("counts")).with_labels(Vector<Label>::LinSpaced(30, 0, 29));
  CHECK(TfIdf{}.fit(rows).transform(rows).labels() == rows.labels());
  Vector<double> some = Vector<double>::Ones(30);
  some.tail(10).setZero();
  CHECK(same_bits(TfIdf{}.fit(rows.with_weights(some)).idf, TfIdf{}.fit(sparse(table("counts").leftCols(20))).idf));
}

TEST_CASE("missing numbers reach a data set only where they may, and are filled in there") {
  Matrix<float> x(1, 3);
  x << 1, std::numeric_limits<float>::quiet_NaN(), 3;
  const DenseData<float> data{x, NotFinite::keep};
  CHECK(Impute{}.fit(data).transform(data).values()(0, 1) == 2);
  CHECK_THROWS_WITH(Standardize{}.fit(data).transform(data), ContainsSubstring("features must be finite; got nan"));
}

TEST_CASE("one sample, one feature, nothing but missing numbers") {
  const Matrix<double> one{{5}};
  CHECK(Standardize{}.fit(one).transform(one)(0, 0) == 0);
  CHECK(MinMax{}.fit(one).transform(one)(0, 0) == 0);
  CHECK(MaxAbs{}.fit(one).transform(one)(0, 0) == 1);
  const Matrix<double> none{{not_a_number, not_a_number}};
  CHECK(std::isnan(Standardize{}.fit(none).transform(none)(0, 0)));
  CHECK(Standardize{}.fit(none).transform(one)(0, 0) == 5);
  CHECK(std::isnan(MinMax{}.fit(none).transform(none)(0, 0)));
  CHECK(std::isnan(MaxAbs{}.fit(none).transform(none)(0, 0)));
  CHECK(std::isnan(MinMax{.clip = true}.fit(one).transform(none)(0, 0)));
  CHECK_THROWS_MATCHES(OneHot{}.fit(none), DataError, Message("OneHot must see at least 1 category; got none"));
}

TEST_CASE("misuse of a preparation is an error in words") {
  Standardize stage;
  const Matrix<double> x = random_matrix<double>(3, 4, 1);
  CHECK_THROWS_MATCHES(stage.transform(x), std::logic_error, Message("standardize is not fitted yet: call fit first"));
  CHECK_THROWS_MATCHES(stage.fit(Matrix<double>(3, 0)), DataError,
                       Message("a preparation is fitted to at least 1 sample (of a weight above 0); got 0"));
  CHECK_THROWS_MATCHES(stage.fit(Matrix<double>(0, 3)), DataError, Message("a preparation is fitted to at least 1 feature; got 0"));
  stage.fit(x);
  const Vector<double> mean = stage.mean;
  Matrix<double> infinite = x;
  infinite(2, 1) = -std::numeric_limits<double>::infinity();
  CHECK_THROWS_MATCHES(stage.fit(infinite), DataError,
                       Message("features must be finite, or NaN where they are missing; got -inf in column 2 of sample 1"));
  CHECK(same_bits(stage.mean, mean));
  CHECK_THROWS_MATCHES(stage.transform(x.topRows(2)), DataError,
                       Message("the data must have the 3 features that standardize was fitted to; got 2"));
  CHECK_THROWS_WITH(stage.fit(x, -1), ContainsSubstring("threads must be in [1, 4096]"));
  CHECK_THROWS_WITH(stage.fit(sparse(x)), ContainsSubstring("Standardize.center must be false for sparse data"));
  CHECK_THROWS_WITH(stage.transform(sparse(x)), ContainsSubstring("Standardize.center must be false for sparse data"));
  CHECK_THROWS_MATCHES((MinMax{.low = 1, .high = 1}.fit(x)), OptionError,
                       Message("MinMax.low must be below MinMax.high, both finite; got 1 and 1"));
  CHECK_THROWS_MATCHES(Impute{.constant = not_a_number}.fit(x), OptionError, Message("Impute.constant must be finite; got nan"));
  CHECK_THROWS_WITH((Pipeline{Impute{}, MinMax{.low = 2}}.fit(x)), ContainsSubstring("MinMax.low"));
}

TEST_CASE("numbers too large for a variance or a range are an error, and what was fitted before stays") {
  parade::Matrix<double> small(2, 3), large(2, 3);
  small << 1, 2, 3, 1, 2, 3;
  large << 1, 2, 3, -1e308, 0, 1e308;
  parade::Standardize standardize;
  parade::MinMax min_max;
  standardize.fit(parade::DenseData<double>{small});
  min_max.fit(parade::DenseData<double>{small});
  CHECK_THROWS_MATCHES(standardize.fit(parade::DenseData<double>{large}), DataError,
                       Message("column 1 must hold numbers whose mean and variance are finite; got mean 0 and variance inf: divide it by a "
                               "constant first"));
  CHECK_THROWS_MATCHES(min_max.fit(parade::DenseData<double>{large}), DataError,
                       Message("column 1 must have a finite range; got -1e+308 to 1e+308: divide it by a constant first"));
  CHECK(standardize.mean[1] == 2);
  CHECK(min_max.maximum[1] == 3);

  // Whoever gives samples of his own says what their features are called.
  struct Named final : parade::Samples {
    explicit Named(const parade::Matrix<double>& values) : x(values) {}
    Index size() const override { return x.cols(); }
    Index num_features() const override { return x.rows(); }
    void read(parade::Range range, double* to) const override { std::copy_n(x.col(range.begin).data(), range.size() * x.rows(), to); }
    std::string feature(Index k) const override { return k == 1 ? "the price" : "another"; }
    const parade::Matrix<double>& x;
  };
  parade::Team team{1};
  CHECK_THROWS_WITH(standardize.fit_samples(Named{large}, team), ContainsSubstring("the price must hold numbers whose mean and variance"));
  large(1, 2) = std::numeric_limits<double>::infinity();
  CHECK_THROWS_WITH(standardize.fit_samples(Named{large}, team), ContainsSubstring("got inf in the price of sample 2"));

  standardize.fit(parade::DenseData<double>{parade::Matrix<double>::Constant(1, 5000, 1e160)});
  CHECK(standardize.mean[0] == 1e160);
  CHECK(standardize.deviation[0] == 1);
}

TEST_CASE("a user's own stage goes into a pipeline") {
  const Matrix<double> x{{1, 2, 4}};
  Pipeline prepare{FromFirst{}, MaxAbs{}};
  CHECK(prepare.fit(x).transform(x) == Matrix<double>{{0.25, 0.5, 1}, {0, 1.0 / 3, 1}});
}
