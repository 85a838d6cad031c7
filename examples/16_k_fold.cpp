// SPDX-License-Identifier: MIT
// How much regularization? k-fold cross validation asks data that the model has not seen: arguments [file.svm [k]], else made-up data.
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <exception>
#include <iomanip>
#include <iostream>
#include <numeric>
#include <utility>
#include <vector>

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

/// The samples in k parts of nearly the same size, at random.
std::vector<std::vector<Index>> folds(Index n, std::size_t k) {
  const Random random{7, Purpose::user};
  std::vector<Index> order(static_cast<std::size_t>(n));
  std::iota(order.begin(), order.end(), Index{0});
  std::stable_sort(order.begin(), order.end(), [&](Index a, Index b) {
    return random.bits(static_cast<std::uint64_t>(a)) < random.bits(static_cast<std::uint64_t>(b));
  });
  std::vector<std::vector<Index>> parts(k);
  for (std::size_t i = 0; i < order.size(); ++i) parts[i % k].push_back(order[i]);
  return parts;
}

int main(int argc, char** argv) try {
  const Data data = argc > 1 ? read(argv[1]) : made_up();
  const auto k = static_cast<std::size_t>(argc > 2 ? std::max(2, std::atoi(argv[2])) : 5);
  const auto parts = folds(data.size(), k);
  std::cout << data.size() << " samples, " << data.num_features() << " features, " << k << " folds\n\n"
            << "  lambda  training loss  loss on the fold left out      accuracy\n";

  struct {
    double lambda = 0, loss = 1e300;
  } best;
  for (const double lambda : {0.0001, 0.001, 0.01, 0.03, 0.1, 0.3, 1.0}) {
    double training = 0, loss = 0, squares = 0, accuracy = 0;
    for (std::size_t out = 0; out < k; ++out) {
      std::vector<Index> rest;
      for (std::size_t part = 0; part < k; ++part)
        if (part != out) rest.insert(rest.end(), parts[part].begin(), parts[part].end());
      const Subset train{data, std::move(rest)}, test{data, parts[out]};
      Trainer trainer{Linear<float>{data.num_features()}, Logistic{}, L2{.lambda = lambda}, Sgd{.rate = 0.5}, Cosine{}};
      trainer.fit(train, {.epochs = 60, .batch_size = 20, .seed = 1});
      const auto left_out = trainer.evaluate(test);
      training += trainer.evaluate(train).loss;
      loss += left_out.loss;
      squares = std::fma(left_out.loss, left_out.loss, squares);
      accuracy += left_out.accuracy;
    }
    const auto n = static_cast<double>(k);
    const double mean = loss / n, deviation = std::sqrt(std::max(0.0, std::fma(-mean, mean, squares / n)));
    std::cout << std::setw(8) << lambda << std::fixed << std::setprecision(4) << std::setw(15) << training / n << std::setw(18) << mean
              << " +- " << std::setw(6) << deviation << std::setw(14) << accuracy / n << '\n'
              << std::defaultfloat;
    if (mean < best.loss) best = {lambda, mean};
  }
  std::cout << "\nbest on data not seen: lambda " << best.lambda << '\n';
} catch (const std::exception& error) {
  std::cerr << error.what() << '\n';
  return 1;
}
