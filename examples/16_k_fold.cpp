// SPDX-License-Identifier: MIT
// How much regularization? k-fold cross validation asks data that the model has not seen: arguments [file.svm [k]], else made-up data.
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <exception>
#include <iomanip>
#include <iostream>
#include <utility>

#include <parade/io/libsvm.hpp>
#include <parade/parade.hpp>

using namespace parade;

using Data = DenseData<float>;

/// 60 features, of which 5 say something about the label.
Data made_up() {
  constexpr Index d = 60, n = 300;
  const Random random{1, Purpose::user};
  Matrix<float> x(d, n);  // (d,n)
  Vector<Label> y(n);
  for (Index i = 0; i < x.size(); ++i) x.data()[i] = static_cast<float>(random.uniform(static_cast<std::uint64_t>(i), -1, 1));
  for (Index j = 0; j < n; ++j) {
    double score = random.uniform(static_cast<std::uint64_t>(100000 + j), -2, 2);
    for (Index i = 0; i < 5; ++i) score += static_cast<double>(x(i, j));
    y[j] = score > 0;
  }
  return Data{std::move(x)}.with_labels(std::move(y));
}

Data read(const char* file) {
  LibsvmOptions options;
  options.targets = LibsvmTargets::labels;
  const auto rows = read_libsvm<float>(file, options).rows;
  const Label largest = rows.labels().maxCoeff();  // of two labels the larger one is 1
  return Data{rows.to_dense()}.with_labels((rows.labels().array() == largest).cast<Label>());
}

/// What one fold says.
struct Score {
  double training, left_out, accuracy;
};

int main(int argc, char** argv) try {
  const Data data = argc > 1 ? read(argv[1]) : made_up();
  const Index k = argc > 2 ? std::max(2, std::atoi(argv[2])) : 5;
  const auto folds = stratified_k_fold(data.labels(), {.folds = k, .seed = 7});
  std::cout << data.size() << " samples, " << data.num_features() << " features, " << k << " folds\n\n"
            << "  lambda  training loss  loss on the fold left out      accuracy\n";

  struct {
    double lambda = 0, loss = 1e300;
  } best;
  for (const double lambda : {0.0001, 0.001, 0.01, 0.03, 0.1, 0.3, 1.0}) {
    const auto scores = cross_validate(data, folds, [&](const auto& train, const auto& test) {
      Trainer trainer{Linear<float>{data.num_features()}, Logistic{}, L2{.lambda = lambda}, Sgd{.rate = 0.5}, Cosine{}};
      trainer.fit(train, {.epochs = 60, .batch_size = 20, .seed = 1});
      const auto result = trainer.evaluate(test);
      return Score{trainer.evaluate(train).loss, result.loss, result.accuracy};
    });
    const auto n = static_cast<double>(k);
    double training = 0, loss = 0, squares = 0, accuracy = 0;
    for (const Score& score : scores) {
      training += score.training / n, loss += score.left_out / n, accuracy += score.accuracy / n;
      squares = std::fma(score.left_out, score.left_out / n, squares);
    }
    const double deviation = std::sqrt(std::max(0.0, std::fma(-loss, loss, squares)));
    std::cout << std::setw(8) << lambda << std::fixed << std::setprecision(4) << std::setw(15) << training << std::setw(18) << loss
              << " +- " << std::setw(6) << deviation << std::setw(14) << accuracy << '\n'
              << std::defaultfloat;
    if (loss < best.loss) best = {lambda, loss};
  }
  std::cout << "\nbest on data not seen: lambda " << best.lambda << '\n';
} catch (const std::exception& error) {
  std::cerr << error.what() << '\n';
  return 1;
}
