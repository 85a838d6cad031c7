// SPDX-License-Identifier: MIT
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include <parade/io/model_file.hpp>
#include <parade/prepare/impute.hpp>
#include <parade/prepare/max_abs.hpp>
#include <parade/prepare/one_hot.hpp>
#include <parade/prepare/pipeline.hpp>
#include <parade/prepare/polynomial_features.hpp>
#include <parade/prepare/standardize.hpp>
#include <parade/prepare/tf_idf.hpp>
#include <parade/prepare/unit_norm.hpp>

#include "support/catch.hpp"
#include "support/numbers.hpp"
#include "support/temporary_folder.hpp"

namespace model_file_test {

namespace {

using namespace parade;
using Catch::Matchers::ContainsSubstring;
using Catch::Matchers::Message;
using numbers::random_matrix, numbers::random_vector, numbers::same_bits;

const ParameterList parameters{{"weight", 3, 2}, {"bias", 3, 1, Role::bias}};  // P = 9

using Arrays = std::vector<std::pair<std::string, detail::NpyView>>;

/// A model file that holds other arrays than it should.
struct Written {
  Vector<std::int64_t> about{{1, 4, 9}};
  Matrix<float> weight = Matrix<float>::Constant(2, 3, 0.5f), wide = Matrix<float>::Zero(3, 2);
  Vector<float> bias = Vector<float>::Ones(3);
  Vector<double> fill = Vector<double>::Ones(2), number = Vector<double>::Zero(1), two = Vector<double>::Zero(2),
                 half = Vector<double>::Constant(1, 0.5), nan = Vector<double>::Constant(2, std::numeric_limits<double>::quiet_NaN());
  Vector<std::int64_t> next{{2, 4, 9, 7}}, doubles{{1, 8, 9}}, larger{{1, 4, 10}};

  Arrays whole() const {
    return {{"parade.model", about},
            {"weight", weight},
            {"bias", bias},
            {"prepare.0.impute.by", number},
            {"prepare.0.impute.constant", number},
            {"prepare.0.impute.fill", fill}};
  }
  Arrays with(const std::string& name, const detail::NpyView& view) const {
    Arrays arrays = whole();
    for (auto& [array, old] : arrays)
      if (array == name) {
        old = view;
        return arrays;
      }
    arrays.emplace_back(name, view);
    return arrays;
  }
};

}  // namespace

TEST_CASE("a model and its preparation survive a file bit by bit") {
  const TemporaryFolder folder;
  const auto file = folder.path / "model.npz";
  Vector<float> theta = random_vector<float>(9, 1);
  theta[0] = -0.0f;
  theta[1] = std::numeric_limits<float>::denorm_min();
  Matrix<double> x = random_matrix<double>(4, 50, 2);
  x.row(2) = x.row(2).unaryExpr([](double value) { return std::trunc(value * 2); });
  x(0, 3) = std::numeric_limits<double>::quiet_NaN();
  Pipeline prepare{Impute{.by = Fill::median, .constant = 0.1}, OneHot{.columns = {2}, .unseen = Unseen::error},
                   PolynomialFeatures{.degree = 3, .interaction_only = true, .include_bias = false},
                   Pipeline{Standardize{.center = false}, UnitNorm{.norm = Norm::l1}}};
  prepare.fit(x);
  save_model(file, parameters, theta, prepare, {{"labels", Matrix<double>{{1, 2, 3}}}});

  Pipeline other{Impute{}, OneHot{}, PolynomialFeatures{}, Pipeline{Standardize{}, UnitNorm{}}};
  const auto model = load_model<float>(file, parameters, other);
  CHECK(same_bits(model.theta, theta));
  REQUIRE(model.extra.size() == 1);
  CHECK(model.extra.at("labels") == Matrix<double>{{1, 2, 3}});
  CHECK(same_bits(other.transform(x), prepare.transform(x)));
  CHECK(other.get<0>().by == Fill::median);
  CHECK(other.get<0>().constant == 0.1);
  CHECK(other.get<1>().unseen == Unseen::error);
  CHECK(other.get<1>().columns == std::vector<Index>{2});
  CHECK(other.get<2>().interaction_only);

  // NumPy's shapes: (rows, cols), and (rows,) for one column.
  const NpzFile arrays{file};
  CHECK(arrays.read<float>("weight") == Eigen::Map<const Matrix<float>>(theta.data(), 3, 2).transpose());
  CHECK(arrays.read_vector<float>("bias") == theta.tail(3));
  CHECK(same_bits(arrays.read_vector<double>("prepare.3.pipeline.0.standardize.deviation"), prepare.get<3>().get<0>().deviation));
}

TEST_CASE("a model without a preparation, with a single stage, of double") {
  const TemporaryFolder folder;
  const auto file = folder.path / "model.npz";
  const Vector<double> theta = random_vector<double>(9, 1);
  save_model(file, parameters, theta);
  CHECK(same_bits(load_model<double>(file, parameters).theta, theta));
  const auto tf_idf = TfIdf{.sublinear = true}.fit(random_matrix<double>(3, 9, 2, 0, 5));
  save_model(file, parameters, theta, tf_idf);
  TfIdf other;
  load_model<double>(file, parameters, other);
  CHECK(same_bits(other.idf, tf_idf.idf));
  CHECK(other.sublinear);
}

TEST_CASE("what a model file lacks or has too much of, or in another form, is an error in words, and nothing changes") {
  const TemporaryFolder folder;
  const auto file = folder.path / "model.npz";
  const Written good;
  const auto check = [&](const Arrays& arrays, const std::string& message) {
    write_npz(file, arrays);
    Pipeline prepare{Impute{.constant = 77}};
    CHECK_THROWS_MATCHES(load_model<float>(file, parameters, prepare), DataError, Message(file.string() + ", array" + message));
    CHECK(prepare.get<0>().constant == 77);
  };
  {
    write_npz(file, good.whole());
    Pipeline prepare{Impute{.constant = 77}};
    load_model<float>(file, parameters, prepare);
    CHECK(prepare.get<0>().constant == 0);
  }
  check(good.with("parade.model", good.next), " parade.model: found version 2, expected version 1");
  check(good.with("parade.model", good.doubles), " parade.model: found parameters of 8 bytes, expected 4 bytes, those of float");
  check(good.with("parade.model", good.larger), " parade.model: found 10 parameters, expected 9, as the model has");
  check(good.with("weight", good.wide), " weight: found shape (2, 3), expected shape (3, 2)");
  check(good.with("weight", good.bias), " weight: found shape (3,), expected shape (3, 2)");
  check(good.with("bias", good.wide), " bias: found shape (2, 3), expected shape (3,)");
  check(good.with("prepare.0.impute.by", good.half), " prepare.0.impute.by: found 0.5, expected a value that this setting can have");
  check(good.with("prepare.0.impute.by", good.two), " prepare.0.impute.by: found shape (2,), expected shape (1,)");
  check(good.with("prepare.0.impute.fill", good.weight), " prepare.0.impute.fill: found shape (3, 2), expected an array of one dimension");
  check(good.with("prepare.0.impute.fill", good.nan), "s prepare.*: impute: what is filled in must be finite");
  check(good.with("prepare.1.min_max.low", good.number),
        " prepare.1.min_max.low: found one, expected none, since model and preparation have no place for it");
  check(good.with("bias2", good.bias), " bias2: found one, expected none, since model and preparation have no place for it");
  Arrays without = good.whole();
  without.erase(without.begin() + 2);
  check(without,
        " bias: found none (the file has parade.model, weight, prepare.0.impute.by, prepare.0.impute.constant, prepare.0.impute.fill), "
        "expected one");

  write_npz(file, good.whole());
  CHECK_THROWS_WITH(load_model<float>(file, parameters), ContainsSubstring("array prepare.0.impute.by: found one, expected none"));
  Pipeline<Standardize> another{Standardize{}};
  CHECK_THROWS_WITH(load_model<float>(file, parameters, another), ContainsSubstring("array prepare.0.standardize.center: found none"));
  std::ofstream(file) << "no zip file";
  CHECK_THROWS_AS(load_model<float>(file, parameters), FileError);
}

TEST_CASE("stages of a file that do not fit each other are refused") {
  const TemporaryFolder folder;
  const auto file = folder.path / "model.npz";
  const Vector<float> theta = Vector<float>::Zero(9);
  Pipeline prepare{Standardize{}, UnitNorm{}};
  prepare.fit(random_matrix<double>(4, 5, 1));
  const Pipeline<Standardize, UnitNorm> fresh{Standardize(prepare.get<0>()), UnitNorm{.features = 3}};
  save_model(file, parameters, theta, fresh);
  CHECK_THROWS_WITH(load_model<float>(file, parameters, prepare),
                    ContainsSubstring("stage 1 of the pipeline must take the 4 features that the one before it makes; it takes 3"));
  const Pipeline within{MaxAbs{.largest = Vector<double>::Ones(4)}, Pipeline<Standardize, UnitNorm>{fresh}};
  Pipeline nested{MaxAbs{}, Pipeline{Standardize{}, UnitNorm{}}};
  save_model(file, parameters, theta, within);
  CHECK_THROWS_WITH(load_model<float>(file, parameters, nested),
                    ContainsSubstring("stage 1 of the pipeline must take the 4 features that the one before it makes; it takes 3"));
  Standardize short_one = prepare.get<0>();
  short_one.deviation = Vector<double>::Ones(3);
  save_model(file, parameters, theta, short_one);
  Standardize other;
  CHECK_THROWS_WITH(load_model<float>(file, parameters, other),
                    ContainsSubstring("standardize: there must be as many deviations as means"));
  const PolynomialFeatures huge{.degree = 64, .features = Index{1} << 50};
  save_model(file, parameters, theta, huge);
  PolynomialFeatures polynomial;
  CHECK_THROWS_WITH(load_model<float>(file, parameters, polynomial), ContainsSubstring("at most 2^24 features"));
}

TEST_CASE("names that would hide what a model file holds are refused") {
  const TemporaryFolder folder;
  const auto file = folder.path / "model.npz";
  CHECK_THROWS_MATCHES(save_model(file, ParameterList{{"prepare.x", 1, 1}}, Vector<float>(Vector<float>::Zero(1))), DataError,
                       Message("the names of a model file's parameters must not begin with 'prepare.'; got 'prepare.x'"));
  CHECK_THROWS_MATCHES(save_model(file, parameters, Vector<float>(Vector<float>::Zero(8))), DataError,
                       Message("theta must have the 9 parameters of the model; got 8"));
  CHECK_FALSE(std::filesystem::exists(file));
}

}  // namespace model_file_test
