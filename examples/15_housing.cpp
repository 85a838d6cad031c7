// SPDX-License-Identifier: MIT
// Regression: a linear model and a small neural network, and what is left over: arguments [houses.csv target], else made-up houses.
#include <algorithm>
#include <cmath>
#include <exception>
#include <iomanip>
#include <iostream>
#include <string>
#include <vector>

#include <parade/data/table_data.hpp>
#include <parade/io/csv.hpp>
#include <parade/parade.hpp>

using namespace parade;

/// Prices rise with income and fall with the distance from the sea, but only near it.
Table made_up() {
  constexpr Index n = 2000;
  const Random random{1, Purpose::user};
  Table table{n, {}};
  for (const char* name : {"income", "rooms", "age", "distance", "price"}) {
    table.columns.push_back({});
    table.columns.back().name = name;
    table.columns.back().numbers.resize(n);
  }
  for (Index j = 0; j < n; ++j) {
    const auto at = static_cast<std::uint64_t>(j) * 5;
    const double income = random.uniform(at, 1, 9), rooms = random.uniform(at + 1, 2, 8), age = random.uniform(at + 2, 0, 60),
                 distance = random.uniform(at + 3, 0, 100);
    const double sea = distance < 20 ? (20 - distance) * 0.1 : 0;
    const double values[] = {
        income, rooms, age, distance,
        std::fma(0.4, income, std::fma(-0.005, age, std::fma(sea, income / 9, sea))) + random.uniform(at + 4, -0.5, 0.5)};
    for (std::size_t c = 0; c < 5; ++c) table.columns[c].numbers[j] = values[c];
  }
  return table;
}

/// Where a column has a long tail of large values, their logarithm takes its place: a model that is a sum should not be led by a few of them.
void take_logs(Table& table, const std::string& target) {
  for (Column& column : table.columns) {
    if (column.type == ColumnType::text || column.name == target) continue;
    Vector<double>& x = column.numbers;
    if (!(x.minCoeff() > 0 && x.maxCoeff() > 8 * x.mean())) continue;
    kernels::transform(x.data(), x.size(), [](auto value) { return kernels::log<double>(value); });
    column.type = ColumnType::real;
  }
}

using Part = Subset<DenseData<float>>;

void fit(const char* name, const Mlp<float>& model, double rate, const Part& train, const Part& test, const Matrix<double>& targets) {
  Trainer trainer{model, SquaredError{}, L2{.lambda = 1e-5}, Sgd{.rate = rate, .momentum = 0.9}, Cosine{}};
  trainer.fit(train, {.epochs = 40, .batch_size = 64, .seed = 1});
  const Matrix<float> z = trainer.predict(test);  // (1,n)
  std::vector<double> residuals;
  for (Index j = 0; j < z.cols(); ++j) residuals.push_back(targets(0, j) - static_cast<double>(z(0, j)));
  std::sort(residuals.begin(), residuals.end());
  std::cout << std::left << std::setw(8) << name << std::right << std::setw(8) << root_mean_squared_error(z, targets) << std::setw(8)
            << mean_absolute_error(z, targets) << std::setw(8) << r_squared(z, targets) << "  ";
  for (const std::size_t percent : {5U, 25U, 50U, 75U, 95U}) std::cout << std::setw(8) << residuals[percent * (residuals.size() - 1) / 100];
  std::cout << '\n';
}

int main(int argc, char** argv) try {
  Table table = argc > 2 ? read_csv(argv[1]).table : made_up();
  TableOptions use;
  use.target = argc > 2 ? argv[2] : "price";
  take_logs(table, std::get<std::string>(*use.target));
  const auto raw = dense_data<float>(table, use).data;
  std::vector<Index> held_out, rest;
  for (Index i = 0; i < raw.size(); ++i) (i % 5 == 4 ? held_out : rest).push_back(i);
  const auto data = Standardize{}.fit(Subset{raw, rest}).transform(raw);
  const Part train{data, rest}, test{data, held_out};
  Matrix<double> targets(1, test.size());
  for (Index j = 0; j < test.size(); ++j) targets(0, j) = data.targets()(0, held_out[static_cast<std::size_t>(j)]);

  const Index d = data.num_features();
  std::cout << train.size() << " houses, " << d << " features; the figures are of " << test.size() << " others\n\n"
            << "model       RMSE     MAE     R^2   residuals: 5 %    25 %    50 %    75 %    95 %\n"
            << std::fixed << std::setprecision(3);
  fit("linear", Mlp<float>{d, 1}, 0.003, train, test, targets);  // no hidden layer
  fit("network", Mlp<float>{d, 32, 16, 1}, 0.01, train, test, targets);
} catch (const std::exception& error) {
  std::cerr << error.what() << '\n';
  return 1;
}
