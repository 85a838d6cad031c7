// SPDX-License-Identifier: MIT
// A recommender: a matrix factorization with biases learns ratings, and says what a user would like that is not yet rated.
#include <iomanip>
#include <iostream>
#include <vector>

#include <parade/parade.hpp>

using namespace parade;

int main() {
  // Users and items have hidden tastes of two kinds; 60 of 100 ratings are known, of which a sixth is held out.
  constexpr Index users = 60, items = 40;
  const Random random{1, Purpose::user};
  const auto taste = [&](Index who, Index kind) { return random.uniform(static_cast<std::uint64_t>(2 * who + kind), -1, 1); };
  const auto rating = [&](Index u, Index i) {
    const double fits = taste(u, 0) * taste(1000 + i, 0) + taste(u, 1) * taste(1000 + i, 1);
    return 3 + 0.5 * taste(u, 2) + 0.5 * taste(1000 + i, 2) + 1.5 * fits;
  };
  std::vector<Index> known, held_out;  // users · item + user
  for (Index pair = 0; pair < users * items; ++pair) {
    const auto draw = random.below(static_cast<std::uint64_t>(100000 + pair), 100);
    if (draw < 60) (draw < 10 ? held_out : known).push_back(pair);
  }
  const auto ratings = [&](const std::vector<Index>& pairs) {
    Matrix<double> x(2, static_cast<Index>(pairs.size())), y(1, x.cols());  // (2,n): the numbers of user and item
    for (Index j = 0; j < x.cols(); ++j) {
      x(0, j) = static_cast<double>(pairs[static_cast<std::size_t>(j)] % users);
      x(1, j) = static_cast<double>(pairs[static_cast<std::size_t>(j)] / users);
      y(0, j) = rating(pairs[static_cast<std::size_t>(j)] % users, pairs[static_cast<std::size_t>(j)] / users);
    }
    return DenseData{x}.with_targets(y);
  };
  const auto train = ratings(known), test = ratings(held_out);

  Trainer trainer{MatrixFactorization<double>{users, items, 2}, SquaredError{}, L2{.lambda = 1e-4}, Adam{.rate = 0.02}, Cosine{}};
  trainer.fit(train, {.epochs = 150, .batch_size = 32, .seed = 1});
  std::cout << std::fixed << std::setprecision(1) << "rmse on " << test.size()
            << " ratings that were held out: " << root_mean_squared_error(trainer.scores(test), test.targets())
            << " (the mean of all would give "
            << root_mean_squared_error(Matrix<double>::Constant(1, test.size(), train.targets().mean()), test.targets()) << ")\n";

  // The best of all items for user 7.
  std::vector<Index> all;
  for (Index i = 0; i < items; ++i) all.push_back(users * i + 7);
  const Matrix<double> scores = trainer.scores(ratings(all));
  Index best = 0, truly_best = 0;
  scores.row(0).maxCoeff(&best);
  ratings(all).targets().row(0).maxCoeff(&truly_best);
  std::cout << "user 7 would like item " << best << " best; the truth is item " << truly_best << '\n';
}
